"""What vLLM and the model's code make impossible, necessary or the default, by number (``H1`` …), as data."""

from __future__ import annotations

from functools import lru_cache

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """One fact. ``vllm``: the releases it is about, empty for all; ``codes``: what tells of it before or after a start.

    ``sources``: public URLs, or a file of a release's wheel with its line.
    """

    id: str
    says: str
    vllm: str
    codes: tuple[str, ...]
    sources: tuple[str, ...]


@lru_cache
def limits() -> tuple[Limit, ...]:
    """Every limit, in order."""
    return tuple(
        Limit(key, row["says"], row.get("vllm", ""), tuple(row.get("codes", ())), tuple(row["sources"]))
        for key, row in table("limits").items()
    )
