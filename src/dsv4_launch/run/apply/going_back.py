"""The way back of a change that failed: the new service removed, the old plan launched again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from dsv4_launch.checks.selection import gpu_places
from dsv4_launch.errors import Dsv4Error, Problem
from dsv4_launch.facts import HostFacts
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.apply.change import Change, Fallback, Judged
from dsv4_launch.run.history.record import record, save_log
from dsv4_launch.run.images import put_back
from dsv4_launch.run.interrupts import deaf
from dsv4_launch.run.lifecycle import STOP_UNREADY_S, await_ready, launch
from dsv4_launch.run.progress import Progress
from dsv4_launch.run.world import Options, World
from dsv4_launch.targets import render
from dsv4_launch.values import Places


@dataclass(slots=True)
class Work:
    """A change whose old service is gone."""

    change: Change
    judged: Judged
    worlds: Callable[[str], World]
    options: Options
    progress: Progress
    last_good_s: float | None

    def back(self, error: Dsv4Error) -> Dsv4Error:
        """Remove the new service and launch the fallback; the error to raise, which says what became of it."""
        plan, name = self.change.plan, self.change.old.name
        with deaf():
            world = self.worlds(plan.target)
            _discard(plan, world, self.progress, keep_log=self.change.save_log)
            home = self.worlds(self.change.fallback.plan.target) if self.change.fallback else world
        if self.change.fallback is None:
            return _with(
                error, "not-rolled-back", f"Nothing runs as {name} now: there is nothing healthy to go back to."
            )
        fallback = self.change.fallback
        try:
            self.progress.say(f"Rolling {name} back to the plan {fallback.digest}")
            if fallback.image and home.engine is not None:
                put_back(home.engine(), fallback.plan.container.image, fallback.image, self.progress)
            there = replace(home, places={**home.places, **_gpus(fallback, self.judged.facts)})
            launch(fallback.plan, render(fallback.plan), there, self.progress)
            await_ready(fallback.plan, home, replace(self.options, by=self._by(), on_failure="keep"), self.progress)
            with deaf():
                record(fallback.plan, fallback.digest, home, self.progress, "healthy", by=self._by())
        except KeyboardInterrupt:
            return self._lost(error, "the rollback was interrupted")
        except Dsv4Error as second:
            return self._lost(error, f"the rollback failed: {second.problems[0].message}")
        down = (
            "" if self.last_good_s is None else f" It did not answer for {time.monotonic() - self.last_good_s:.1f} s."
        )
        return _with(
            error, "rolled-back", f"Rolled back: {name} runs as before (plan {fallback.digest}) and is ready.{down}"
        )

    def _lost(self, error: Dsv4Error, why: str) -> Dsv4Error:
        name = self.change.old.name
        return _with(
            error,
            "not-rolled-back",
            f"{name} does not serve now: {why}.",
            f"`dsv4 status {name}` says what there is; `dsv4 rollback {name}` tries again.",
        )

    def _by(self) -> str:
        return f"{self.options.by}, rolled back"


def _discard(plan: Plan, world: World, progress: Progress, *, keep_log: bool) -> None:
    try:
        found = world.driver.find(plan.name)
        if found is None or found.foreign:
            return
        if found.life != "exited":
            world.driver.stop(plan.name, STOP_UNREADY_S)
        if keep_log:
            save_log(world.driver, plan.name, world.environ, progress)
        world.driver.remove(plan.name)
    except Dsv4Error as error:
        progress.say(f"warning: what was launched is not removed: {error}")


def _gpus(fallback: Fallback, facts: HostFacts) -> Places:
    """The GPUs that the fallback had, where its launch chose them."""
    plan = fallback.plan
    if fallback.gpus:
        shown = tuple(int(index) for index in fallback.gpus.split(",") if index.isdigit())
        plan = replace(plan, gpus=replace(plan.gpus, visible=shown))
    return gpu_places(plan, facts)


def _with(error: Dsv4Error, code: str, message: str, fix: str = "") -> Dsv4Error:
    return type(error)(*error.problems, Problem(code, message, "", fix))
