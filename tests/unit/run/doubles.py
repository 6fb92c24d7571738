"""Stand-ins for what a launch touches: a driver that remembers, a progress, a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from checks.plans import PLANS
from dsv4_launch.errors import HostError
from dsv4_launch.facts import HostFacts, Request
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.progress import Now
from dsv4_launch.run.service import Seen
from dsv4_launch.run.start.readiness import Clock
from dsv4_launch.run.world import World
from dsv4_launch.values import Command

PLAN = replace(PLANS["rehearsal"], name="x", model=replace(PLANS["rehearsal"].model, local=True))
PLACES = {
    "home": "/h",
    "hf_home": "/h/hf",
    "dsv4_cache": "/h/.cache/dsv4",
    "rehearsal_home": "/h/.cache/dsv4/rehearsal",
    "user": "u",
    "path": "/usr/bin",
}


def service(**changes: object) -> Seen:
    """A running container of ours."""
    seen = Seen("x", "docker", "running", "d1", {}, "u", "http://127.0.0.1:8000", "2026-11-23T17:00:00Z")
    return replace(seen, **changes)  # type: ignore[arg-type]


@dataclass
class FakeDriver:
    """Has the services it is given, in turn; the last one stays. None: there is none."""

    finds: list[Seen | None]
    lines: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    refuses: Exception | None = None
    passed: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Seen | None:
        return self.finds.pop(0) if len(self.finds) > 1 else self.finds[0]

    def all(self) -> list[Seen]:
        return [seen for seen in self.finds if seen]

    def create(self, name: str, command: Command, environ: Mapping[str, str], plan: Plan | None = None) -> None:
        self.calls.append("create")
        self.passed = environ
        if self.refuses:
            raise self.refuses

    def logs(self, name: str, *, follow: bool, tail: int | None) -> Iterator[str]:
        return iter(self.lines)

    def stop(self, name: str, timeout_s: float) -> None:
        self.calls.append("stop")

    def remove(self, name: str) -> None:
        self.calls.append("remove")


class DownDriver(FakeDriver):
    """Its engine does not answer."""

    def find(self, name: str) -> Seen | None:
        raise HostError("down", code="engine-down")


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.now: list[Now] = []
        self.closed = 0

    def say(self, text: str) -> None:
        self.said.append(text)

    def show(self, now: Now) -> None:
        self.now.append(now)

    def close(self) -> None:
        self.closed += 1


def ticking(step_s: float = 1.0) -> Clock:
    """A clock on which only sleeping takes time."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += max(seconds, step_s)

    return Clock(lambda: now[0], sleep)


def world(driver: FakeDriver, facts: HostFacts | None = None, **environ: str) -> World:
    """A host with these facts."""

    def probe(request: Request) -> HostFacts:
        return facts or HostFacts(origin="constructed")

    return World(PLACES, environ, driver, probe)  # type: ignore[arg-type]
