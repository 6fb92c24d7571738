"""Shared memory that a killed server leaves in /dev/shm: vLLM's message queues there take 240 MB each.

Only segments that processes of the service were seen to map, under names that Python, NCCL and PyTorch make up, are
removed: weights that somebody keeps in /dev/shm are mapped too, and are theirs.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from dsv4_launch.run.processes import PROC, Process

_OURS = re.compile(r"^/dev/shm/(psm_|sem\.mp-|nccl-|torch_)[\w.-]+$")


def parse_maps(text: str) -> set[str]:
    """The segments in the text of /proc/PID/maps; one that is unlinked already ends in ``(deleted)``."""
    paths = (line.split(None, 5)[5] for line in text.splitlines() if "/dev/shm/" in line)  # noqa: S108
    return {path for path in paths if _OURS.match(path)}


def mapped(processes: Iterable[Process], proc: Path = PROC) -> set[str]:
    """The segments that these processes map."""
    found: set[str] = set()
    for process in processes:
        with contextlib.suppress(OSError):
            found |= parse_maps((proc / str(process.pid) / "maps").read_text(errors="replace"))
    return found


def semaphores(since_s: float, folder: Path = Path("/dev/shm")) -> set[str]:  # noqa: S108
    """Semaphores that Python's multiprocessing made after a time (seconds since the epoch).

    It forgets the one of a helper process that has ended; nobody maps it any more, and `release` takes only such.
    """
    found: set[str] = set()
    for path in folder.glob("sem.mp-*"):
        with contextlib.suppress(OSError):
            if path.stat().st_ctime >= since_s:
                found.add(str(path))
    return found


def release(segments: Iterable[str], proc: Path = PROC) -> None:
    """Remove segments of a service that is gone, except those that another process maps."""
    left = {path for path in segments if os.path.lexists(path)}
    if not left:
        return
    pids = [int(folder.name) for folder in proc.iterdir() if folder.name.isdigit()]
    for path in left - mapped((Process(pid, 0, "") for pid in pids), proc):
        with contextlib.suppress(OSError):
            Path(path).unlink()
