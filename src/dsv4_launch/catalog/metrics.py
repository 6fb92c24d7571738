"""Which series of a vLLM server's /metrics hold what, as data."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Series:
    """One series: our name, vLLM's names for it, how engines are put together, and the label that splits it, if any."""

    key: str
    kind: Literal["gauge", "counter", "histogram"]
    names: tuple[str, ...]
    engines: Literal["sum", "mean"]
    by: str
    source: str


@lru_cache
def series() -> tuple[Series, ...]:
    """Every series that is read, in the order of the data file."""
    return tuple(
        Series(key, row["kind"], tuple(row["names"]), row["engines"], row.get("by", ""), row["source"])
        for key, row in table("metrics").items()
    )
