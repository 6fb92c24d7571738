"""vLLM releases: the image, and what it is built on, as data."""

from __future__ import annotations

from functools import lru_cache

from dsv4_launch.catalog import version
from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """One vLLM release. ``min_driver`` is the oldest Linux driver for the image's CUDA."""

    version: str
    image: str
    cuda: str
    min_driver: str
    source: str


@lru_cache
def releases() -> dict[str, Release]:
    """Every known release, oldest first."""
    rows = table("releases")
    return {
        name: Release(name, rows[name]["image"], rows[name]["cuda"], rows[name]["min_driver"], rows[name]["source"])
        for name in sorted(rows, key=version.release_tuple)
    }


def nearest_release(wanted: str) -> tuple[Release, bool]:
    """The release whose facts hold for a version, and whether it is that very release."""
    name, exact = version.nearest_release(wanted, tuple(releases()))
    return releases()[name], exact
