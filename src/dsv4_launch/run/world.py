"""What a launch is given and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

from dsv4_launch.checks.examine import Result
from dsv4_launch.facts import HostFacts, KernelError, Request
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.history.entries import History
from dsv4_launch.run.service import Driver
from dsv4_launch.run.start.earlier import Starts
from dsv4_launch.run.start.stage_times import StageTime
from dsv4_launch.values import Places, Word


@dataclass(frozen=True, slots=True)
class World:
    """What a launch needs from this host; the command line hands it in, tests hand in their own.

    ``engine`` gives a client of the docker package, to look for the image and pull it; None where no engine is needed.
    ``starts`` knows what earlier starts took; None: nothing is remembered. ``kernel`` gives what the kernel said of the
    GPUs since a moment (ISO 8601, UTC), or None where its log cannot be read; None: it is not asked. ``changing`` holds
    a deployment's name while it is launched or changed, and raises HostError where somebody else does.
    """

    places: Places
    environ: Mapping[str, str]
    driver: Driver
    probe: Callable[[Request], HostFacts]
    engine: Callable[[], Any] | None = None
    # Where launches are written down; None where they are not (rehearsals).
    history: History | None = None
    starts: Starts | None = None
    kernel: Callable[[str], Sequence[KernelError] | None] | None = None
    changing: Callable[[str], AbstractContextManager[None]] = lambda _name: nullcontext()


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator may decide about one launch."""

    timeout_s: float | None = None
    detach: bool = False
    skips: Mapping[str, str] = field(default_factory=dict)
    on_failure: Literal["keep", "remove"] = "keep"
    pull: bool = True
    # By which command, for the history.
    by: str = "serve"
    # Tests what is ready before its launch counts as healthy. Raises SmokeError.
    accept: Callable[[Plan], None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a launch ended well. ``state``: it was launched now, runs already, or was launched and not waited for.

    ``gpus``: those that the server was shown, where the launch chose them (`gpus: auto`).
    """

    state: Literal["ready", "already-ready", "detached"]
    name: str
    target: str
    base_url: str
    models: tuple[str, ...]
    digest: str
    seconds: float = 0.0
    gpus: tuple[int, ...] = ()
    checks: tuple[Result, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[StageTime, ...] = ()


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a dry run found: every check, what would be fetched, and the words that would be run.

    ``gpus``: those that a launch would choose (`gpus: auto`; none where nobody could look).
    """

    name: str
    digest: str
    checks: tuple[Result, ...]
    fetches: tuple[str, ...]
    argv: tuple[Word, ...]
    env: Mapping[str, Word] = field(default_factory=dict)
    gpus: tuple[int, ...] = ()


def api_key(plan: Plan, environ: Mapping[str, str]) -> str:
    """The key that clients need, from the variable that the plan names; "" for none."""
    return environ.get(plan.api_key_env, "") if plan.api_key_env else ""
