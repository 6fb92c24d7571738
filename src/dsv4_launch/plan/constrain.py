"""What vLLM or the model would refuse, found in settled values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dsv4_launch.catalog.rules import Constraint, applies, constraints
from dsv4_launch.errors import Problem
from dsv4_launch.plan.numbers import integer
from dsv4_launch.plan.settings import Settings
from dsv4_launch.values import listed

Path = tuple[str | int, ...]


def broken(settled: Settings, facts: Mapping[str, str], where: Callable[[Path], str]) -> list[Problem]:
    """One problem for every constraint that the settled values break."""
    values = {name: setting.value for name, setting in settled.items()}
    values["parallel.ranks"] = values["parallel.tensor"] * values["parallel.data"]
    return [
        _problem(constraint, values, where)
        for constraint in constraints()
        if applies(constraint.when, facts)
        and all(values.get(name) in allowed for name, allowed in constraint.given.items())
        and not _holds(constraint, values)
    ]


def _holds(constraint: Constraint, values: Mapping[str, Any]) -> bool:
    value = values.get(constraint.name)
    for kind, wanted in constraint.must.items():
        if kind == "present":
            return value is not None
        if kind == "absent":
            return value is None
        if value is None:
            continue
        if isinstance(wanted, str) and wanted.startswith("$"):
            wanted = integer(values.get(wanted[1:]))
            if wanted is None:
                continue
        if not _satisfies(kind, value, wanted):
            return False
    return True


def _satisfies(kind: str, value: Any, wanted: Any) -> bool:
    match kind:
        case "in":
            return value in wanted
        case "not_in":
            return value not in wanted
        case "divides":
            return bool(wanted % value == 0)
    count = integer(value) if not isinstance(value, float) else value
    if count is None:
        return True  # a word such as auto; whether it is allowed is the flag table's business
    return bool(count >= wanted if kind == "min" else count <= wanted)


def _problem(constraint: Constraint, values: Mapping[str, Any], where: Callable[[Path], str]) -> Problem:
    name, value = constraint.name, values.get(constraint.name)
    must = constraint.must
    if "present" in must:
        said = f"{name} is missing"
    elif "absent" in must:
        said = f"{name} cannot be used here"
    elif "in" in must and len(must["in"]) <= 8:
        said = f"{name} is {_shown(value)}; it must be {listed(map(_shown, must['in']))}"
    else:
        said = f"{name} {_shown(value)} cannot be"
    path = tuple(name.split("."))
    return Problem(constraint.code, f"{said}: {constraint.why}.", where(path), constraint.fix)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
