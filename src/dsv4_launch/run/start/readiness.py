"""Waiting for a server: its log tells the stage, its endpoint that it is ready, its exit that it never will be.

Ready means that it is healthy, lists the model, and has answered a completion of one token.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dsv4_launch.errors import Dsv4Error, Problem, ServerError, SmokeError
from dsv4_launch.plan.advise import without_secrets
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.endpoint import Answer, Completion, ask, complete
from dsv4_launch.run.progress import Now, Progress, clock_text
from dsv4_launch.run.service import Driver, Seen
from dsv4_launch.run.start.stage_times import StageTime, StageTimes
from dsv4_launch.run.start.stages import Stage, advance, all_said
from dsv4_launch.values import counted

KEPT_LINES = 400
SHOWN_LINES = 20
LOOK_EVERY_S = 0.5
# So long the log of a server that answers may lag behind; one that is told to log less says its last words never.
LAST_WORDS_S, WORD_S = 2.0, 0.05
# A server that ends this often before it was ever ready will not become so by itself.
GIVE_UP_RESTARTS = 3
# So often a server may fail at its first token before that is taken for its answer.
GIVE_UP_COMPLETIONS = 3
FIRST_TOKEN = Stage("first-token", "answering a first completion")

_CAUSE = re.compile(
    r"(?:^|[\s\]])((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Interrupt): .+|.*error: (?:argument|unrecogni).+)"
)
# What says only that another process failed.
_EMPTY_CAUSE = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|See (?:root cause|stack trace) above"
    r"|See stack trace (?:for|\(above\))|EngineDeadError"
)


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that answers: after how long, with which models, and whether it wanted another key than ours."""

    seconds: float
    models: tuple[str, ...]
    key_refused: bool = False
    stages: tuple[StageTime, ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as waiting sees it; tests have their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class LogTail:
    """Follows a log in the background: the stage it has reached, and its last lines."""

    def __init__(self, lines: Callable[[], Iterable[str]], now: Callable[[], float] = time.monotonic) -> None:
        # A line comes with its time: it is taken in later, and several at once.
        self._queue: queue.SimpleQueue[tuple[float, str] | None] = queue.SimpleQueue()
        self._lines, self._now = lines, now
        self.stage = Stage()
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self.ended = False
        # A read of a log cannot be ended from outside, only left behind.
        self._thread = threading.Thread(target=self._read, name="log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._lines():
                self._queue.put((self._now(), line))
        except (Dsv4Error, OSError):
            pass  # the service is gone, or its engine: that is found out by looking at the service
        except Exception:
            self._queue.put((self._now(), "dsv4: the log could not be followed further"))
        finally:
            self._queue.put(None)

    def drain(self, reached: Callable[[Stage, float], None] = lambda *_: None, last_words_s: float = 0.0) -> None:
        """Take in what was read meanwhile; ``reached`` is told each stage and when, also one over in no time.

        ``last_words_s``: so long the log may take to say the last thing that a start says.
        """
        # In many short waits: of a machine that stood still for a while, only one of them is over.
        waits, until_s = round(last_words_s / WORD_S), time.monotonic() + last_words_s
        while True:
            saying = waits > 0 and not self.ended and not all_said(self.stage)
            try:
                read = self._queue.get(timeout=WORD_S if saying else 0.0)
            except queue.Empty:
                if not saying:
                    return
                waits -= 1
                continue
            waits -= time.monotonic() > until_s  # a log that never pauses has an end of it, too
            if read is None:
                self.ended = True
                continue
            at_s, line = read
            self.last.append(line)
            after = advance(self.stage, line)
            if after.key != self.stage.key:
                reached(after, at_s)
            self.stage = after

    def finish(self, timeout_s: float = 10.0) -> None:
        """Take in the rest of a log whose writer has ended."""
        self._thread.join(timeout_s)
        self.drain()


class FirstToken:
    """Asks for one token in the background, so that a server that dies meanwhile is seen to die."""

    def __init__(self, asks: Callable[[], Completion]) -> None:
        self._asks = asks
        self._thread: threading.Thread | None = None
        self._found: Completion | None = None
        self.tries = 0

    def poll(self) -> Completion | None:
        """What came of it, None while it is asked for."""
        asking = self._thread
        if asking is None:
            self.tries += 1
            asking = self._thread = threading.Thread(target=self._ask, name="first-token", daemon=True)
            asking.start()
        asking.join(0.05)
        if asking.is_alive():
            return None
        self._thread = None
        return self._found

    def _ask(self) -> None:
        self._found = self._asks()


def wait_until_ready(
    driver: Driver,
    plan: Plan,
    *,
    timeout_s: float,
    api_key: str,
    progress: Progress,
    clock: Clock | None = None,
    asks: Callable[..., Answer] = ask,
    completes: Callable[..., Completion] = complete,
    times: StageTimes | None = None,
) -> Ready:
    """Return when the service of this plan is healthy, lists its model name, and has answered one token.

    ``times`` adds up the stages, also those before the launch. Raises ServerError, with its last lines, when it exits
    or is not ready after ``timeout_s`` seconds; SmokeError when it is up and cannot complete.
    """
    clock = clock or Clock()
    started_s = clock.now()
    times = times or StageTimes(clock.now)
    tail = LogTail(lambda: driver.logs(plan.name, follow=True, tail=None), clock.now)
    first = FirstToken(lambda: completes(plan.base_url, plan.served_model_names[0], api_key))
    answer = Answer("silent")
    restarts = 0

    def show(stage: Stage) -> None:
        progress.show(_now(plan, stage, times.last(stage.key)))

    def reach(stage: Stage, at_s: float) -> None:
        times.reach(stage.key, stage.title, at_s)
        show(stage)

    reach(tail.stage, started_s)
    try:
        while True:
            tail.drain(reach)
            elapsed_s = clock.now() - started_s
            found = driver.find(plan.name)
            if found is None or found.life == "exited" or (found.life == "created" and found.error):
                tail.finish()
                raise died(plan, found, elapsed_s, tail)
            if found.restarts > restarts:
                restarts = found.restarts
                if restarts >= GIVE_UP_RESTARTS:
                    raise died(plan, found, elapsed_s, tail, "crash-loop")
                progress.say(f"{plan.name} ended and was started again by its restart policy ({restarts})")
                tail = LogTail(lambda: driver.logs(plan.name, follow=True, tail=0), clock.now)
            answer = asks(plan.base_url, plan.served_model_names, api_key)
            stage = tail.stage
            if answer.up:
                stage = FIRST_TOKEN
                # It answers before its log is read, which is looked at a few times a second.
                tail.drain(reach, 0.0 if first.tries else LAST_WORDS_S)
                times.reach(stage.key, stage.title)
                completion = Completion("token") if answer.verdict == "key-refused" else first.poll()
                if completion is not None and completion.verdict in ("token", "key-refused"):
                    refused = "key-refused" in (answer.verdict, completion.verdict)
                    return Ready(clock.now() - started_s, answer.models, refused, times.end())
                if completion is not None and _hopeless(completion, first.tries):
                    raise cannot_complete(plan, completion)
            if elapsed_s >= timeout_s:
                raise late(plan, timeout_s, tail, answer)
            show(stage)
            clock.sleep(min(LOOK_EVERY_S, max(0.05, timeout_s - elapsed_s)))
    finally:
        progress.close()


def _now(plan: Plan, stage: Stage, last_s: float) -> Now:
    weighed = plan.model.weight_bytes / stage.total if stage.key == "weights" and stage.total else 0.0
    return Now(stage.title, stage.done, stage.total, "", stage.detail, weighed, last_s)


def _hopeless(completion: Completion, tries: int) -> bool:
    """A server that just died answers nothing more, and is seen to be gone; one that stays is asked again."""
    return completion.verdict == "refused" or (completion.verdict == "failed" and tries >= GIVE_UP_COMPLETIONS)


def cannot_complete(plan: Plan, completion: Completion) -> SmokeError:
    """The error for a server that is up, lists its model, and completes nothing."""
    return SmokeError(
        Problem(
            "no-completion",
            f"{plan.name} is up but does not complete: {without_secrets(completion.detail)}.",
            f"{plan.target} {plan.name}",
            f"`dsv4 logs {plan.name}` may say why, `dsv4 diagnose {plan.name}` what is known of it.",
        )
    )


def died(plan: Plan, found: Seen | None, after_s: float, tail: LogTail, code: str = "server-died") -> ServerError:
    """The error for a server that ended before it was ready."""
    how = "its container or process is gone" if found is None else ending(found)
    why = cause(tail.last)
    if code == "crash-loop" and found is not None:
        how += f", {counted(found.restarts, 'time')} in a row"
    return ServerError(
        Problem(
            code,
            f"{plan.name} ended {clock_text(after_s)} after its launch, while {tail.stage.text}: {how}."
            f"{f'{chr(10)}It says: {why}' if why else ''}{_shown(tail.last)}",
            f"{plan.target} {plan.name}",
            f"`dsv4 logs {plan.name}` prints all of the log." if found is not None else "",
        )
    )


def late(plan: Plan, timeout_s: float, tail: LogTail, answer: Answer) -> ServerError:
    """The error for a server that is still not ready at the deadline."""
    reason = answer.detail if answer.verdict in ("other-model", "unhealthy") else ""
    return ServerError(
        Problem(
            "server-late",
            f"{plan.name} is not ready after {timeout_s:g} s; it is {tail.stage.text}"
            f"{f' ({reason})' if reason else ''}.{_shown(tail.last)}",
            f"{plan.target} {plan.name}",
            "Give it more time with --timeout SECONDS, or set start.timeout_s.",
        )
    )


def ending(found: Seen) -> str:
    """How a service ended, in words."""
    if found.out_of_memory:
        return "killed by the kernel: out of (host) memory"
    if found.error:
        return found.error
    code = found.exit_code
    if code is None:
        return "its end was not seen"
    number = -code if code < 0 else code - 128
    if number == 9:
        return "killed (SIGKILL): by hand, by a stop that ran out of patience, or by the kernel for want of memory"
    if 0 < number < 65:
        return f"ended by signal {number}"
    return f"exit code {code}"


def cause(lines: Iterable[str]) -> str:
    """The exception that the log blames first ("" if none): a traceback often ends with another one."""
    for line in lines:
        found = _CAUSE.search(line)
        if found and not _EMPTY_CAUSE.search(line):
            return without_secrets(found.group(1).strip())[:300]
    return ""


def _shown(lines: Iterable[str]) -> str:
    said = [without_secrets(line.rsplit("\r", 1)[-1])[:400] for line in lines if line.strip()]
    if not said:
        return " It wrote nothing to its log."
    return "\nIts last lines:\n" + "\n".join(f"  | {line}" for line in said[-SHOWN_LINES:])
