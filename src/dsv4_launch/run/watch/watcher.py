"""Watching one service: it is started again when it died and nobody else does that, and hangs are found.

We supervise only what has no supervisor. Where the docker engine or the native supervisor restarts a server
(``target.restart``), the watcher counts their restarts, ends a crash loop and finds hangs, which they cannot; it never
starts a dead server that they will start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from dsv4_launch.config.watch import Watch
from dsv4_launch.errors import Dsv4Error, HostError, Problem, ServerError, ToolError
from dsv4_launch.run.claim import over
from dsv4_launch.run.diagnose import death_problems, diagnose
from dsv4_launch.run.endpoint import Answer, ask
from dsv4_launch.run.service import Seen
from dsv4_launch.run.start.failure import ending
from dsv4_launch.run.start.readiness import Clock
from dsv4_launch.run.status.metrics import Metrics, MetricsError, scrape
from dsv4_launch.run.watch import state as watch_state
from dsv4_launch.run.watch.event import Event, Kind
from dsv4_launch.run.watch.policy import Backoff, Pulse
from dsv4_launch.run.watch.subject import End, Subject
from dsv4_launch.values import counted

LOOK_EVERY_S = 2.0
# A hang is found late by a tenth of its time at most, and metrics are not read more often than that needs.
PULSES = 10
SLOWEST_PULSE_S = 10.0
# Of the log that explains a death; a server that is started again goes on with the same log.
LOG_LINES = 5_000
STOP_S = 30.0


@dataclass(slots=True)
class Watcher:
    """One watch; `run` returns when the service was stopped or replaced, and raises ServerError for a crash loop.

    While somebody launches or changes what has its name (`dsv4 serve`, `apply`, `rollback`) it only waits: they know
    what to do when that fails.
    """

    subject: Subject
    policy: Watch
    say: Callable[[str], None]
    clock: Clock = field(default_factory=Clock)
    epoch: Callable[[], float] = time.time
    asks: Callable[..., Answer] = ask
    scrapes: Callable[..., Metrics] = scrape
    tick: Callable[[], None] = lambda: None
    _memory: watch_state.Memory = field(default_factory=watch_state.Memory)
    _backoff: Backoff = field(init=False)
    _pulse: Pulse = field(init=False)
    _restarts_of_others: int = 0
    _was_ready: bool = False
    _starting_since_s: float | None = None
    _late: bool = False
    _pulse_at_s: float = 0.0
    _blind: bool = False
    _changing: bool = False
    _target: str = "docker"

    def __post_init__(self) -> None:
        self._backoff, self._pulse = Backoff(self.policy), Pulse(self.policy.hang_s)

    def run(self) -> End:
        """Watch until the service is gone for good, or another one."""
        first = self._look()
        if first is not None:
            self._memory = watch_state.read(first.target, first.name, first.created, self.subject.environ)
            self._target = first.target
            self._backoff.times = list(self._memory.times_s)
            self._restarts_of_others = first.restarts
        while True:
            self.tick()
            found = self._look()
            # Asked after the look: what is seen stopped because of a change is seen while that is under way.
            if not self._blind and not self._is_changed():
                end = self._judge(found)
                if end is not None:
                    return end
            self.clock.sleep(LOOK_EVERY_S)

    def _look(self) -> Seen | None:
        """The service as it is; an engine that does not answer is said once and asked again."""
        try:
            found = self.subject.driver.find(self.subject.name)
        except (HostError, ToolError) as error:
            if not self._blind:
                self.say(f"warning: {error.problems[0].message} Asking again until it answers.")
            self._blind = True
            return None
        if self._blind:
            self.say(f"{self.subject.name} can be seen again.")
        self._blind = False
        return found

    def _is_changed(self) -> bool:
        """Whether somebody launches or changes it just now; said once."""
        by = self.subject.changer(self.subject.name)
        if by is not None and not self._changing:
            self.say(f"{self.subject.name} is being changed by {by}; the watch waits.")
        self._changing = self._changing or by is not None
        return by is not None

    def _judge(self, found: Seen | None) -> End | None:
        name = self.subject.name
        if found is None:
            watch_state.forget(self._target, name, self.subject.environ)
            return End(f"{name} was removed", self._changing)
        if found.created != self._memory.created:
            return End(f"{name} was replaced by another launch", True)
        self._changing = False
        if over(found):
            if found.stopped or found.exit_code == 0:
                return End(f"{name} was stopped" if found.stopped else f"{name} ended by itself, with exit code 0")
            return self._died(found)
        if found.restarts > self._restarts_of_others:
            self._restarted_by_other(found)
        elif found.restarts < self._restarts_of_others:
            self._restarts_of_others = found.restarts  # started by hand: the engine counts from 0 again
        elif found.life == "running":
            self._feel(found)
        return None

    def _died(self, found: Seen) -> End | None:
        """Start it again after a while; the end, where it was stopped or removed meanwhile."""
        if found.restart != "no":
            self._give_up(found, f"{ending(found)}, and its restart policy ({found.restart}) does not start it again")
        if not self.policy.restart:
            self._tell(found, "died", ending(found), "It is left as it is: watch.restart is false.")
            raise self._error(found, "server-died", f"{found.name} died: {ending(found)}.")
        return self._start_again(found, "died", ending(found))

    def _start_again(self, found: Seen, kind: Kind, why: str) -> End | None:
        """Start it again, as often as the policy allows; the end, where it was stopped or removed meanwhile."""
        tried = False
        while True:
            delay_s = self._backoff.next(self.epoch())
            if delay_s is None:
                self._give_up(found, f"{why}, after {counted(self.policy.max_restarts, 'restart')}")
            limit = f"{len(self._backoff.times)} of at most {self.policy.max_restarts}"
            self._memory = replace(self._memory, restarts=self._memory.restarts + 1)
            self._tell(found, kind, why, f"It is started again in {delay_s:g} s ({limit}).")
            self.clock.sleep(delay_s)
            now = self._look()
            if self._blind or self._is_changed():
                return None
            if now is None or now.created != found.created:
                return self._judge(now)
            if not tried and kind == "died" and not over(now):
                return None  # somebody was faster
            if not tried and now.stopped:
                return End(f"{found.name} was stopped")
            tried = True
            try:
                self.subject.start_again(now)
                break
            except Dsv4Error as error:
                kind, why = "died", f"it could not be started again: {error.problems[0].message.rstrip('.')}"
        self._anew()
        after = self._look()
        if after is not None:
            self._restarts_of_others = after.restarts
            self._remember(created=after.created)
        return None

    def _anew(self) -> None:
        """Another process runs now: nothing is known of it yet."""
        self._pulse.reset()
        self._was_ready = self._late = False
        self._starting_since_s = None
        self._pulse_at_s = 0.0

    def _restarted_by_other(self, found: Seen) -> None:
        """Its own supervisor started it again: that counts, and too often is a crash loop all the same."""
        grown, self._restarts_of_others = found.restarts - self._restarts_of_others, found.restarts
        self._anew()
        for _ in range(grown):
            if self._backoff.next(self.epoch()) is None:
                self._give_up(
                    found, f"{ending(found)}, and {counted(self.policy.max_restarts, 'restart')} did not help"
                )
        self._remember()
        self._tell(found, "died", ending(found), f"Its restart policy ({found.restart}) starts it again.")

    def _feel(self, found: Seen) -> None:
        """See whether it works. A server that was not ready yet hangs when its start takes longer than it may."""
        now_s = self.clock.now()
        if now_s < self._pulse_at_s or not found.base_url:
            return
        self._pulse_at_s = now_s + min(SLOWEST_PULSE_S, max(LOOK_EVERY_S, self.policy.hang_s / PULSES))
        if not self._was_ready:
            self._was_ready = self.asks(found.base_url, (), self.subject.api_key).up
            if self._was_ready:
                self.say(f"{found.name} is ready.")
            else:
                self._start_late(found, now_s)
            return
        try:
            metrics = self.scrapes(found.base_url, self.subject.api_key)
        except MetricsError:
            metrics = None
        hung = self._pulse.hangs
        why = self._pulse.see(self.clock.now(), metrics)
        if hung and not self._pulse.hangs:
            self.say(f"{found.name} goes on.")
        if why:
            self._hangs(found, why)

    def _start_late(self, found: Seen, now_s: float) -> None:
        """Tell of a start that takes too long, once."""
        if self._starting_since_s is None:
            self._starting_since_s = now_s
        took_s = now_s - self._starting_since_s
        most_s = self.subject.start_s if self.policy.hang_s else 0.0
        if most_s and took_s >= most_s and not self._late:
            self._late = True
            self._hangs(found, f"it has been starting for {took_s:.0f} s")

    def _hangs(self, found: Seen, why: str) -> None:
        if self.policy.on_hang == "restart":
            self._start_again(found, "hang", f"it hangs: {why}")
        else:
            self._tell(found, "hang", f"it hangs: {why}", "It is left as it is: watch.on_hang is report.")

    def _give_up(self, found: Seen, why: str) -> NoReturn:
        """End a crash loop. Raises ServerError."""
        stopped = ""
        error = self._error(found, "crash-loop", f"{found.name} crashes again and again: {why}.")
        if found.life != "exited":
            try:
                self.subject.driver.stop(found.name, STOP_S)
                stopped = " and stopped"
            except Dsv4Error as failed:
                stopped = f"; it could not be stopped: {failed.problems[0].message}"
        self._tell(found, "crash-loop", why, f"It is given up{stopped}.", error.problems[1:])
        raise error

    def _tell(self, found: Seen, kind: Kind, message: str, action: str, why: Sequence[Problem] | None = None) -> None:
        known = self._explained(found) if why is None else why
        event = Event(
            event=kind,
            service=found.name,
            target=found.target,
            host=self.subject.host,
            time=datetime.fromtimestamp(self.epoch(), UTC).isoformat(timespec="seconds"),
            message=message,
            action=action,
            exit_code=found.exit_code,
            restarts=self._memory.restarts + found.restarts,
            advisory=known[0].code if known else "",
            hint=f"{known[0].message} {known[0].fix}".strip() if known else "",
        )
        self.say(f"{event.service}: {message}. {action}")
        self._memory = self._memory.with_event(event)
        self._remember()
        self.subject.notify(event)

    def _remember(self, **changes: Any) -> None:
        self._memory = replace(self._memory, times_s=tuple(self._backoff.times), **changes)
        watch_state.write(self._target, self.subject.name, self._memory, self.subject.environ)

    def _error(self, found: Seen, code: str, message: str) -> ServerError:
        where = f"{found.target} {found.name}"
        fix = f"`dsv4 logs {found.name}` prints its log; `dsv4 diagnose {found.name}` explains it."
        return ServerError(Problem(code, message, where, fix), *self._explained(found))

    def _explained(self, found: Seen) -> tuple[Problem, ...]:
        """The known failure that its log, its end or the kernel shows."""
        try:
            lines = self.subject.driver.logs(found.name, follow=False, tail=LOG_LINES)
            kernel = self.subject.kernel(found.started or found.created) if self.subject.kernel else None
            found_out = diagnose(lines, found, version=self.subject.version, gpu=self.subject.gpu, kernel=kernel)
            return death_problems(found_out)
        except (Dsv4Error, OSError):
            return ()
