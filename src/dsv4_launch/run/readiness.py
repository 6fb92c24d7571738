"""Waiting for a server: its log tells the stage, its endpoint that it is ready, its exit that it never will be."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dsv4_launch.errors import Dsv4Error, Problem, ServerError
from dsv4_launch.plan.advise import without_secrets
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.endpoint import Answer, ask
from dsv4_launch.run.progress import Now, Progress, clock_text
from dsv4_launch.run.service import Driver, Seen
from dsv4_launch.run.stages import Stage, advance

KEPT_LINES = 400
SHOWN_LINES = 20
LOOK_EVERY_S = 0.5
# A server that ends this often before it was ever ready will not become so by itself.
GIVE_UP_RESTARTS = 3

_CAUSE = re.compile(
    r"(?:^|[\s\]])((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Interrupt): .+|.*error: (?:argument|unrecogni).+)"
)
# What says only that another process failed.
_EMPTY_CAUSE = re.compile(r"Engine core initialization failed|See (?:root cause|stack trace) above|EngineDeadError")


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that answers: after how long, with which models, and whether it wanted another key than ours."""

    seconds: float
    models: tuple[str, ...]
    key_refused: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as waiting sees it; tests have their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class LogTail:
    """Follows a log in the background: the stage it has reached, and its last lines."""

    def __init__(self, lines: Callable[[], Iterable[str]]) -> None:
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lines = lines
        self.stage = Stage()
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self.ended = False
        # A read of a log cannot be ended from outside, only left behind.
        self._thread = threading.Thread(target=self._read, name="log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._lines():
                self._queue.put(line)
        except (Dsv4Error, OSError):
            pass  # the service is gone, or its engine: that is found out by looking at the service
        except Exception:
            self._queue.put("dsv4: the log could not be followed further")
        finally:
            self._queue.put(None)

    def drain(self, reached: Callable[[Stage], None] = lambda _: None) -> None:
        """Take in what was read meanwhile; ``reached`` is told each stage, also one that was over in no time."""
        while True:
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                return
            if line is None:
                self.ended = True
                continue
            self.last.append(line)
            after = advance(self.stage, line)
            if after.key != self.stage.key:
                reached(after)
            self.stage = after

    def finish(self, timeout_s: float = 3.0) -> None:
        """Take in the rest of a log whose writer has ended."""
        self._thread.join(timeout_s)
        self.drain()


def wait_until_ready(
    driver: Driver,
    plan: Plan,
    *,
    timeout_s: float,
    api_key: str,
    progress: Progress,
    clock: Clock | None = None,
    asks: Callable[..., Answer] = ask,
) -> Ready:
    """Return when the service of this plan is healthy and lists its model name.

    Raises ServerError, with its last lines, when it exits or is not ready after ``timeout_s`` seconds.
    """
    clock = clock or Clock()
    started_s = clock.now()
    tail = LogTail(lambda: driver.logs(plan.name, follow=True, tail=None))
    answer = Answer("silent")
    restarts = 0

    def show(stage: Stage) -> None:
        progress.show(Now(stage.title, stage.done, stage.total, "", stage.detail))

    try:
        while True:
            tail.drain(show)
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
                tail = LogTail(lambda: driver.logs(plan.name, follow=True, tail=0))
            answer = asks(plan.base_url, plan.served_model_names, api_key)
            if answer.up:
                return Ready(elapsed_s, answer.models, answer.verdict == "key-refused")
            if elapsed_s >= timeout_s:
                raise late(plan, timeout_s, tail, answer)
            show(tail.stage)
            clock.sleep(min(LOOK_EVERY_S, max(0.05, timeout_s - elapsed_s)))
    finally:
        progress.close()


def died(plan: Plan, found: Seen | None, after_s: float, tail: LogTail, code: str = "server-died") -> ServerError:
    """The error for a server that ended before it was ready."""
    how = "its container or process is gone" if found is None else ending(found)
    why = cause(tail.last)
    if code == "crash-loop" and found is not None:
        how += f", {found.restarts} times in a row"
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
