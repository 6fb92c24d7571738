"""Known failures of the model on vLLM, as data with two uses: a warning before a launch, an explanation after a crash.

A row of ``data/advisories/*.toml``: ``id``, ``title``, ``severity``, ``cause``, ``fix``, ``sources`` (public URLs), and

- ``versions``: ranges of releases that have it, any of which may hold; all releases without it
- ``arch``, ``gpu``: where it happens; without ``arch`` on every GPU, but not in a rehearsal on the CPU
- ``before``: cases in which a config is told of it. A case has ``when`` (facts, as rules have) and ``given`` (settled
  values: the allowed ones, or a table of conditions, see `dsv4_launch.plan.conditions`). None: only a log shows it
- ``log``: pieces of messages that tell it, stable ones, never whole lines. A list inside means all of them;
  ``re:`` starts a regular expression (bounded repeats only: a log is read in linear time)
- ``patch``: config values to ``set`` and to ``remove``
- ``generic``: it explains a log only behind the more specific ones
- ``alone``: it follows from another failure, and is told only where none is found that an operator could mend
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from dsv4_launch.catalog.read import table
from dsv4_launch.catalog.rules import Patch, patch_of
from dsv4_launch.catalog.version import within
from dsv4_launch.dataclass import dataclass

Severity: TypeAlias = Literal["error", "warning", "info"]

# The first two hold all that a config can show, so that validating reads no more than it needs.
_CONFIG = ("advisories/config", "advisories/config_memory")
_LOG = tuple(
    f"advisories/{name}"
    for name in (
        "log",
        "crash",
        "crash_machine",
        "crash_ranks",
        "crash_kernels",
        "crash_files",
        "crash_launch",
        "crash_vllm",
    )
)


@dataclass(frozen=True, slots=True)
class Case:
    """One way in which a config shows an advisory before a launch."""

    when: Mapping[str, Any]
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Advisory:
    """One known failure. ``log`` holds alternatives; each is the pieces that must all be there."""

    id: str
    title: str
    severity: Severity
    versions: tuple[str, ...]
    arch: tuple[str, ...]
    gpu: tuple[str, ...]
    before: tuple[Case, ...]
    log: tuple[tuple[str, ...], ...]
    cause: str
    fix: str
    patch: Patch | None
    sources: tuple[str, ...]
    generic: bool = False
    alone: bool = False

    @property
    def number(self) -> int:
        """What its id counts: D9 comes before D10, and D99 before D100."""
        return int(self.id.removeprefix("D"))

    def concerns(self, version: str | None = None, gpu: str | None = None, arch: str | None = None) -> bool:
        """True when it can happen on this release (a plain release number) and GPU; what is None is not asked."""
        return (
            (version is None or not self.versions or any(within(version, spec) for spec in self.versions))
            and (gpu is None or not self.gpu or gpu in self.gpu)
            and (arch is None or (arch in self.arch if self.arch else arch != "cpu"))
        )


def advisories() -> tuple[Advisory, ...]:
    """Every advisory, in the order of their ids."""
    return tuple(sorted((*config_advisories(), *_read(_LOG)), key=lambda advisory: advisory.number))


def config_advisories() -> tuple[Advisory, ...]:
    """Those that a config can show before a launch."""
    return _read(_CONFIG)


@lru_cache
def quiet_pieces() -> tuple[str, ...]:
    """What tells that a line of a log means no failure (data/quiet.toml)."""
    return tuple(piece for row in table("quiet")["quiet"] for piece in row["pieces"])


@lru_cache
def _read(names: tuple[str, ...]) -> tuple[Advisory, ...]:
    return tuple(_advisory(row) for name in names for row in table(name)["advisory"])


def _advisory(row: Mapping[str, Any]) -> Advisory:
    return Advisory(
        id=row["id"],
        title=row["title"],
        severity=row["severity"],
        versions=tuple(row.get("versions", ())),
        arch=tuple(row.get("arch", ())),
        gpu=tuple(row.get("gpu", ())),
        before=tuple(Case(case.get("when", {}), case.get("given", {})) for case in row.get("before", ())),
        log=tuple((piece,) if isinstance(piece, str) else tuple(piece) for piece in row.get("log", ())),
        cause=row["cause"],
        fix=row["fix"],
        patch=patch_of(row),
        sources=tuple(row["sources"]),
        generic=row.get("generic", False),
        alone=row.get("alone", False),
    )
