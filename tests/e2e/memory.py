"""What servers leave behind in /dev/shm."""

from __future__ import annotations

import contextlib
from pathlib import Path

from e2e.conftest import until

SHM = Path("/dev/shm")


def segments() -> set[str]:
    """What is there now."""
    return {str(path) for path in SHM.iterdir()}


def wait_for_none_since(before: set[str]) -> None:
    """Wait until nothing is left of what came since then."""
    until(lambda: left_since(before) == set(), "nothing is left in /dev/shm")


def left_since(before: set[str]) -> set[str]:
    """What came since then and no process uses: what others use on this machine is theirs."""
    used = ""
    for path in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            used += path.read_text(errors="replace")
    return {name for name in segments() - before if name not in used}
