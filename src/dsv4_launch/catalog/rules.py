"""Rules and constraints: what follows from model, GPU, version and target, each with its reason and source, as data.

A rule fills in what a config leaves open (``default``), settles what it may not decide (``set``), or drops what cannot
be there (``drop``). A constraint refuses what vLLM or the model would refuse. Both are ordered lists in TOML; for rules
the last match wins, name by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dsv4_launch.catalog.read import table
from dsv4_launch.catalog.version import within
from dsv4_launch.dataclass import dataclass

# What a ``when`` may ask about. Anything else in a data file is a mistake (a test says so).
WHEN_KEYS = frozenset(
    {"model", "precision", "draft", "arch", "gpu", "strategy", "vllm", "target", "indexer_cache_dtype", "speculative"}
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; names are config paths (``engine.kv_cache_dtype``, ``parallel.tensor``, ``env.NAME``)."""

    why: str
    source: str
    when: Mapping[str, Any]
    default: Mapping[str, Any]
    set: Mapping[str, Any]
    drop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Patch:
    """What to change in a config: values to set by path (``engine.block_size``), and paths to remove."""

    set: Mapping[str, Any]
    remove: tuple[str, ...]


def patch_of(row: Mapping[str, Any]) -> Patch | None:
    """The patch of a data row that has one."""
    patch = row.get("patch")
    return Patch(patch.get("set", {}), tuple(patch.get("remove", ()))) if patch else None


@dataclass(frozen=True, slots=True)
class Constraint:
    """What must hold of one settled value; the kinds of ``must`` and ``given`` are in `dsv4_launch.plan.conditions`."""

    code: str
    name: str
    why: str
    fix: str
    source: str
    when: Mapping[str, Any]
    given: Mapping[str, Any]
    must: Mapping[str, Any]
    patch: Patch | None = None


@lru_cache
def rules() -> tuple[Rule, ...]:
    """Every rule, in order."""
    return tuple(
        Rule(
            row["why"],
            row["source"],
            row.get("when", {}),
            row.get("default", {}),
            row.get("set", {}),
            tuple(row.get("drop", ())),
        )
        for row in table("rules")["rule"]
    )


@lru_cache
def constraints() -> tuple[Constraint, ...]:
    """Every constraint, in order."""
    return tuple(
        Constraint(
            row["code"],
            row["name"],
            row["why"],
            row["fix"],
            row["source"],
            row.get("when", {}),
            row.get("given", {}),
            row["must"],
            patch_of(row),
        )
        for row in table("constraints")["constraint"]
    )


def applies(when: Mapping[str, Any], facts: Mapping[str, str]) -> bool:
    """True when every key of ``when`` holds: a version in its range, any other fact among the values listed."""
    for key, wanted in when.items():
        if not (within(facts["vllm"], wanted) if key == "vllm" else facts.get(key, "") in wanted):
            return False
    return True
