"""vLLM version numbers: order, ranges, and the release whose facts hold for a custom build."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_PLAIN = re.compile(r"\d{1,6}(\.\d{1,6}){1,3}")
_OPERATORS = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


@lru_cache(maxsize=1024)
def release_tuple(version: str) -> tuple[int, ...]:
    """``0.20.1`` as (0, 20, 1). Raises ValueError when it is not a plain release number."""
    if not _PLAIN.fullmatch(version):
        raise ValueError(version)
    numbers = tuple(int(part) for part in version.split("."))
    return numbers + (0,) * (3 - len(numbers))


@lru_cache(maxsize=4096)
def within(version: str, spec: str) -> bool:
    """True when a plain release satisfies a range such as ``>=0.28.0,<0.30.0``."""
    wanted = release_tuple(version)
    for clause in spec.split(","):
        clause = clause.strip()
        operator = next(op for op in _OPERATORS if clause.startswith(op))
        if not _OPERATORS[operator](wanted, release_tuple(clause[len(operator) :].strip())):
            return False
    return True


def nearest_release(version: str, known: Sequence[str]) -> tuple[str, bool]:
    """Of ``known`` releases (oldest first) the one whose facts hold for ``version``, and whether it is that very one.

    A custom build (``0.20.1rc1.dev144+g1234``) takes the newest release before the one that it leads to; one that calls
    itself ``0.1.dev1``, or nothing that can be read, takes the newest of all.
    """
    if version in known:
        return version, True
    leads_to = _leads_to(version)
    if leads_to is None or leads_to < release_tuple("0.2.0"):
        return known[-1], False
    before = [release for release in known if release_tuple(release) < leads_to]
    if _PLAIN.fullmatch(version.split("+")[0]):
        before = [release for release in known if release_tuple(release) <= leads_to]
    return (before[-1] if before else known[0]), False


def newer_or_same(version: str, release: str) -> bool:
    """True when a version, a custom build too, is a release or comes after it. One that says nothing is the newest."""
    leads_to = _leads_to(version)
    return leads_to is None or leads_to < release_tuple("0.2.0") or leads_to >= release_tuple(release)


def _leads_to(version: str) -> tuple[int, ...] | None:
    if _PLAIN.fullmatch(version):
        return release_tuple(version)
    from packaging.version import InvalidVersion, Version  # only custom builds need all of PEP 440

    try:
        release = Version(version).release
    except InvalidVersion:
        return None
    return release + (0,) * (3 - len(release))
