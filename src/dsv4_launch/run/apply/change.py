"""A change of a running deployment as values: what is to become what, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dsv4_launch.facts import HostFacts
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.service import Driver, Seen
from dsv4_launch.values import Places


@dataclass(frozen=True, slots=True)
class Fallback:
    """What is launched again when the change fails: a plan that was healthy, its image and GPUs ("": any)."""

    plan: Plan
    digest: str
    image: str = ""
    gpus: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be changed: the service that runs, the plan for its place, what to go back to (None: nothing).

    ``smoke`` tests the new one and returns what was seen, in words. It raises SmokeError.
    """

    old: Seen
    driver: Driver
    plan: Plan
    fallback: Fallback | None
    smoke: Callable[[Plan], str]
    save_log: bool = True


@dataclass(frozen=True, slots=True)
class Applied:
    """How a change ended well. ``downtime_s``: from the last good answer of the old to the first of the new."""

    state: Literal["applied", "unchanged", "served", "dry-run"]
    name: str
    target: str
    base_url: str
    models: tuple[str, ...]
    digest: str
    replaced: str = ""
    seconds: float = 0.0
    downtime_s: float | None = None
    smoke: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the preflight found: the host without the old service, and the GPUs that `gpus: auto` takes there."""

    facts: HostFacts
    places: Places
