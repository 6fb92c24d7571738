"""Compile and kernel caches that a server writes, as data."""

from __future__ import annotations

from functools import lru_cache

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache: the variable that moves it, its folder below our mount, what it holds, who reads the variable."""

    name: str
    variable: str
    directory: str
    why: str
    source: str


@lru_cache
def caches() -> tuple[Cache, ...]:
    """Every cache, in the order of the data file."""
    return tuple(
        Cache(row["name"], row["variable"], row["directory"], row["why"], row["source"])
        for row in table("caches")["cache"]
    )
