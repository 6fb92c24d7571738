"""The documented deployment, as data: the order of its arguments, and why our container options differ from it."""

from __future__ import annotations

from functools import lru_cache

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Deviation:
    """Container options that the page prints, ours in their place, and why."""

    words: tuple[str, ...]
    ours: tuple[str, ...]
    why: str
    # Where it holds: "" always, or loopback, hub, caches, drains, logs.
    holds: str


@lru_cache
def argument_order() -> dict[str, int]:
    """Position of each vLLM argument on the page, by dest or dotted name."""
    return {name: position for position, name in enumerate(table("reference")["arguments"])}


@lru_cache
def deviations() -> tuple[Deviation, ...]:
    """Every deviation from the page's container options."""
    return tuple(
        Deviation(tuple(row["words"]), tuple(row["ours"]), row["why"], row.get("holds", ""))
        for row in table("reference")["option"]
    )


def source() -> str:
    """What the documented deployment was read from."""
    return str(table("reference")["source"])
