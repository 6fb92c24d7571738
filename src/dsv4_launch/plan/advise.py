"""Which known failures a config will meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from dsv4_launch.catalog.advisories import Advisory, Case, config_advisories
from dsv4_launch.catalog.rules import applies
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.conditions import given_holds
from dsv4_launch.plan.types import Notice

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """An advisory that holds. Before a launch, ``path`` is the value that shows it; in a log, ``line`` (from 1) and
    ``text`` are its last piece's first line. ``known_here``: the release and GPU are those it was reported for."""

    advisory: Advisory
    path: tuple[str, ...] = ()
    line: int = 0
    text: str = ""
    known_here: bool = True


def matching(values: Mapping[str, Any], facts: Mapping[str, str]) -> tuple[Match, ...]:
    """The advisories that the values of a config (`dsv4_launch.plan.conditions.values_of`) show, worst first."""
    found: list[Match] = []
    for advisory, cases in _possible(frozenset(facts.items())):
        case = next((c for c in cases if given_holds(c.given, values)), None)
        if case is not None:
            found.append(Match(advisory, _path(case.given, case.when)))
    return tuple(sorted(found, key=lambda match: (_SEVERITIES[match.advisory.severity], match.advisory.number)))


_SEVERITIES = {"error": 0, "warning": 1, "info": 2}


@lru_cache
def _possible(facts: frozenset[tuple[str, str]]) -> tuple[tuple[Advisory, tuple[Case, ...]], ...]:
    """What can be on this release, GPU and model, whatever the settled values are; many configs share them."""
    known = dict(facts)
    here = [a for a in config_advisories() if a.concerns(known["vllm"], known["gpu"], known["arch"])]
    found = ((advisory, tuple(case for case in advisory.before if applies(case.when, known))) for advisory in here)
    return tuple((advisory, cases) for advisory, cases in found if cases)


def _path(given: Mapping[str, object], when: Mapping[str, object]) -> tuple[str, ...]:
    """The config path that a reader should look at."""
    if given:
        return tuple(next(iter(given)).split("."))
    facts = {
        "speculative": ("engine", "speculative_config"),
        "indexer_cache_dtype": ("engine", "indexer_cache_dtype"),
        "gpu": ("gpu",),
        "draft": ("model",),
        "precision": ("model",),
    }
    return next((path for fact, path in facts.items() if fact in when), ("vllm",))


def advice(values: Mapping[str, Any], facts: Mapping[str, str], where: Callable[[Path], str]) -> tuple[Notice, ...]:
    """A warning for every advisory that holds and that an operator should hear of before a launch."""
    return tuple(
        Notice(
            "warning",
            match.advisory.title,
            match.advisory.fix.rstrip("."),
            where(match.path),
            match.advisory.id,
        )
        for match in matching(values, facts)
        if match.advisory.severity != "info"
    )
