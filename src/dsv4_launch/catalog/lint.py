"""What `dsv4 lint` looks for, as data: faults of a text by code, and rules on the values that were read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a fault of the text means."""

    code: str
    severity: Severity
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class LintRule:
    """One rule: it holds where ``when`` (facts) and ``given`` (values) do; ``at`` is the path whose place is shown."""

    code: str
    severity: Severity
    at: str
    why: str
    fix: str
    when: Mapping[str, Any]
    given: Mapping[str, Any]


@lru_cache
def fault_kinds() -> dict[str, FaultKind]:
    """Every kind of fault by its code."""
    return {r["code"]: FaultKind(r["code"], r["severity"], r["why"], r["fix"]) for r in table("lint")["fault"]}


@lru_cache
def lint_rules() -> tuple[LintRule, ...]:
    """Every rule, in order."""
    return tuple(
        LintRule(r["code"], r["severity"], r["at"], r["why"], r["fix"], r.get("when", {}), r["given"])
        for r in table("lint")["rule"]
    )
