"""Logs of services that are gone: saved before a service is removed, bounded in count and bytes."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from dsv4_launch.run import state
from dsv4_launch.run.native import log as native_log

FOLDER = "logs"
# Of a log the last lines are kept; of a deployment the newest logs.
MAX_LINES, MAX_BYTES, MAX_FILES = 200_000, 32 * 1024 * 1024, 5


def save(name: str, lines: Iterable[str], environ: Mapping[str, str]) -> Path | None:
    """Save a log; None when there was nothing in it. Raises OSError, HostError when no state can be written."""
    kept = _end_of(lines)
    if not kept:
        return None
    folder = state.subfolder(state.writable_root(environ), FOLDER, name)
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    path = folder / f"{stamp}.log"
    state.write_new(path, "".join(f"{line}\n" for line in kept))
    for old in sorted(folder.glob("*.log"))[:-MAX_FILES]:
        old.unlink(missing_ok=True)
    return path


def newest(name: str, environ: Mapping[str, str]) -> Path | None:
    """The newest saved log of a deployment that this user can see, or None."""
    found: list[Path] = []
    for root in state.roots(environ) if state.is_name(name) else ():
        with contextlib.suppress(OSError):
            found += (root / FOLDER / name).glob("*.log")
    return max(found, key=lambda path: path.name, default=None)


def lines_of(path: Path, tail: int | None = None) -> Iterator[str]:
    """The lines of a saved log."""
    return native_log.lines(path, tail=tail)


def _end_of(lines: Iterable[str]) -> deque[str]:
    kept: deque[str] = deque(maxlen=MAX_LINES)
    size = 0
    for line in lines:
        if len(kept) == MAX_LINES:
            size -= _size(kept[0])
        kept.append(line)
        size += _size(line)
        while size > MAX_BYTES:
            size -= _size(kept.popleft())
    return kept


def _size(line: str) -> int:
    return len(line.encode("utf-8", "replace")) + 1
