"""What vLLM or the model would refuse, found in settled values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from dsv4_launch.catalog.rules import Constraint, applies, constraints
from dsv4_launch.errors import Problem
from dsv4_launch.plan.conditions import given_holds, must_holds
from dsv4_launch.values import listed

Path = tuple[str | int, ...]


def broken(values: Mapping[str, Any], facts: Mapping[str, str], where: Callable[[Path], str]) -> list[Problem]:
    """One problem for every constraint that values break; they are those of `dsv4_launch.plan.conditions.values_of`."""
    return [
        _problem(constraint, values, where)
        for constraint in _possible(frozenset(facts.items()))
        if not must_holds(constraint.must, values.get(constraint.name), values)
        and given_holds(constraint.given, values)
    ]


@lru_cache
def _possible(facts: frozenset[tuple[str, str]]) -> tuple[Constraint, ...]:
    """Those of this release, GPU and model; many configs share them."""
    known = dict(facts)
    return tuple(constraint for constraint in constraints() if applies(constraint.when, known))


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
