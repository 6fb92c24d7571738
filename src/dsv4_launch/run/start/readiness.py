"""Waiting for a server: its log tells the stage, its endpoint that it is ready, its exit that it never will be.

Ready means that it is healthy, lists the model, and has answered a completion of one token.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dsv4_launch.plan.types import Plan
from dsv4_launch.run.endpoint import Answer, Completion, ask, complete
from dsv4_launch.run.progress import Now, Progress
from dsv4_launch.run.service import Driver
from dsv4_launch.run.start.failure import cannot_complete, died, late
from dsv4_launch.run.start.log_tail import LogTail
from dsv4_launch.run.start.stage_times import StageTime, StageTimes
from dsv4_launch.run.start.stages import Stage

LOOK_EVERY_S = 0.5
# A server that ends this often before it was ever ready will not become so by itself.
GIVE_UP_RESTARTS = 3
# So often a server may fail at its first token before that is taken for its answer.
GIVE_UP_COMPLETIONS = 3
FIRST_TOKEN = Stage("first-token", "answering a first completion")


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
                (tail.drain if first.tries else tail.hear_out)(reach)
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
