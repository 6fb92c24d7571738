"""What a check is: one function that judges a plan against the facts of a host, and says nothing when all is well."""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from dsv4_launch.facts import Gpu, HostFacts
from dsv4_launch.plan.types import Plan

Severity: TypeAlias = Literal["error", "warning"]
T = TypeVar("T")


class Unknown(Exception):
    """A fact that a check needs was not read; the text says why. What is unknown is never passed."""


class NotAsked(Exception):
    """A fact that is looked at only on request was not asked for: the check does not apply."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault: what was found, and what to do about it. Together they make one sentence."""

    found: str
    fix: str

    @property
    def message(self) -> str:
        """The one sentence."""
        return f"{self.found}: {self.fix}"


@dataclass(frozen=True, slots=True)
class Context:
    """What a check looks at."""

    plan: Plan
    facts: HostFacts

    def known(self, value: T | None, path: str) -> T:
        """A fact that must have been read. Raises Unknown, with the reason that the facts give for its dotted path."""
        if value is None:
            raise Unknown(f"{path} is not known ({self.facts.why(path)})")
        return value

    def room(self, free: int | None, total: int | None, path: str, unit: str) -> int:
        """How much is free of what there is. Raises Unknown where it was not read, or cannot be."""
        free = self.known(free, path)
        if total is not None and (free > total or not total):
            raise Unknown(f"{path} is said to be {free} {unit} of {total}, which cannot be")
        return free

    def variable(self, name: str) -> str:
        """What the plan sets an environment variable of the server to; "" when it does not."""
        values = [v.value for v in self.plan.environment if v.name == name and isinstance(v.value, str)]
        return values[-1] if values else ""

    def argument(self, name: str) -> Any:
        """The value of a vLLM argument of the plan, or None."""
        return next((one.value for one in reversed(self.plan.arguments) if one.name == name), None)

    @property
    def used(self) -> tuple[int, ...]:
        """Indices of the GPUs that will be used. A native server also obeys the caller's CUDA_VISIBLE_DEVICES."""
        gpus, listed = self.plan.gpus, self.listed
        if listed is None or gpus.visible != "all":
            return gpus.used
        return listed[: gpus.count]

    @property
    def listed(self) -> tuple[int, ...] | None:
        """Indices of the GPUs that the caller's CUDA_VISIBLE_DEVICES shows to a native server; None without one."""
        native = self.facts.native
        if native is None or native.visible_devices is None or self.plan.target != "native":
            return None
        by_uuid = {gpu.uuid: gpu.index for gpu in self.facts.gpus or ()}
        names = [name.strip() for name in native.visible_devices.split(",") if name.strip()]
        return tuple(int(name) if re.fullmatch("[0-9]{1,4}", name) else by_uuid.get(name, -1) for name in names)

    @property
    def used_gpus(self) -> tuple[Gpu, ...]:
        """Those of the used GPUs that are there. Raises Unknown when the GPUs were not read."""
        there = {gpu.index: gpu for gpu in self.known(self.facts.gpus, "gpus")}
        return tuple(there[index] for index in self.used if index in there)


@dataclass(frozen=True, slots=True)
class Check:
    """A registered check. It runs only after all that it `requires` have passed.

    `unread`: how grave it is when its facts could not be read. Health that a guest or an ordinary user may not see does
    not forbid a launch; what it shows does.
    """

    code: str
    title: str
    explain: str
    severity: Severity
    requires: tuple[str, ...]
    applies: Callable[[Plan], bool]
    judge: Callable[[Context], Finding | None]
    unread: Severity = "error"


CHECKS: dict[str, Check] = {}


def check(
    code: str,
    *,
    requires: tuple[str, ...] = (),
    severity: Severity = "error",
    unread: Severity | None = None,
    applies: Callable[[Plan], bool] = lambda _plan: True,
) -> Callable[[Callable[[Context], Finding | None]], Callable[[Context], Finding | None]]:
    """Register a check: its docstring's first line is the title, the rest what `--explain` prints."""

    def register(judge: Callable[[Context], Finding | None]) -> Callable[[Context], Finding | None]:
        if code in CHECKS:
            raise ValueError(f"two checks are called {code}")
        title, _, explain = (inspect.getdoc(judge) or "").partition("\n")
        if not title:
            raise ValueError(f"check {code} has no docstring")
        found = (code, title.rstrip("."), explain.strip(), severity, requires, applies, judge, unread or severity)
        CHECKS[code] = Check(*found)
        return judge

    return register


def on_gpus(plan: Plan) -> bool:
    """For checks that mean nothing in a rehearsal on the CPU."""
    return plan.gpus.count > 0


def on_docker(plan: Plan) -> bool:
    """For checks of the container engine."""
    return plan.target == "docker"


def on_native(plan: Plan) -> bool:
    """For checks of the vLLM installation of this machine."""
    return plan.target == "native"


def numbers(version: str) -> tuple[int, ...]:
    """A dotted version as numbers that compare: "580.95.05" is (580, 95, 5)."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:4])


def named(indices: Iterable[int]) -> str:
    """GPUs in words: `GPU 3`, or `GPUs 0,1`."""
    unique = sorted(set(indices))
    return f"GPU {unique[0]}" if len(unique) == 1 else f"GPUs {','.join(map(str, unique))}"
