"""The numbers and names that checks compare with: data/thresholds.toml, each with its reason and source."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dsv4_launch.catalog.read import table


@lru_cache
def _rows() -> dict[str, dict[str, Any]]:
    return table("thresholds")


def number(name: str) -> int:
    """A threshold that is a number, in the unit of its name."""
    return int(_rows()[name]["value"])


def text(name: str) -> str:
    """A threshold that is a version."""
    return str(_rows()[name]["value"])


def names(name: str) -> tuple[str, ...]:
    """A threshold that is a list of kernel families."""
    return tuple(map(str, _rows()[name]["value"]))
