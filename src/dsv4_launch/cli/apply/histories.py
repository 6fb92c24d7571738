"""The histories of this machine: of its engine and of its native services."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dsv4_launch.cli import drivers
from dsv4_launch.errors import Dsv4Error, HostError

if TYPE_CHECKING:
    from dsv4_launch.errors import Problem
    from dsv4_launch.run.history.entries import Entry, History


def history_of(target: str) -> History:
    """Where launches of a target are written down."""
    if target == "docker":
        from dsv4_launch.run.history.docker import DockerHistory

        return DockerHistory(drivers.client)
    from dsv4_launch.run.history.native import NativeHistory

    return NativeHistory(os.environ)


def read(name: str | None, target: str | None) -> tuple[list[tuple[str, Entry]], list[Problem]]:
    """The entries of one deployment or of all, oldest first, and why some of them could not be seen."""
    found: list[tuple[str, Entry]] = []
    problems: list[Problem] = []
    for one in (target,) if target else ("docker", "native"):
        kept = history_of(one)
        try:
            for each in kept.names() if name is None else [name]:
                found += [(each, entry) for entry in kept.entries(each)]
        except Dsv4Error as error:
            if target or not isinstance(error, HostError) or drivers.matters(error):
                problems += error.problems
    return sorted(found, key=lambda pair: (pair[0], pair[1].when)), problems
