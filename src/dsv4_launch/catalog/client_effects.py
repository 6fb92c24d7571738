"""What clients notice when a value of a deployment changes, as data."""

from __future__ import annotations

from functools import lru_cache

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass

HOWS = frozenset({"changed", "added", "gone", "smaller", "larger"})


@dataclass(frozen=True, slots=True)
class ClientEffect:
    """``about``: values as ``part.name`` (``argument.max_model_len``); ``how`` they change; ``{old}`` and ``{new}``."""

    about: tuple[str, ...]
    how: str
    text: str
    source: str


@lru_cache
def effects() -> tuple[ClientEffect, ...]:
    """Every effect, in order: of those that fit a difference, the first one is told."""
    return tuple(
        ClientEffect(tuple(row["about"]), row["how"], row["text"], row["source"])
        for row in table("client_effects")["effect"]
    )
