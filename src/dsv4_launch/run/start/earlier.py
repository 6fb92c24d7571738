"""What earlier starts took, by the plan's digest: a small file in the state folder, written whole or not at all.

It is a convenience: what cannot be read or written is as good as not there, and never fails a start.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dsv4_launch.run import state
from dsv4_launch.run.start.stage_times import StageTime

SCHEMA = 1
FILE = "starts.json"
# Plans that are remembered; the oldest is forgotten.
KEPT = 64
_MOST_BYTES = 1_000_000
_LONGEST_S = 1e6


class Starts:
    """The starts that this user may see."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._roots = state.roots(environ)

    def last(self, digest: str) -> dict[str, float]:
        """Seconds of each stage of the last start of the same plan; empty when none is known."""
        found = [entry for root in self._roots if (entry := _read(root / FILE).get(digest))]
        newest = max(found, key=lambda entry: str(entry.get("when")), default={})
        return {
            str(key): float(seconds)
            for key, seconds in dict(newest.get("stages", {})).items()
            if isinstance(seconds, int | float) and 0 <= seconds < _LONGEST_S
        }

    def record(self, digest: str, stages: tuple[StageTime, ...]) -> None:
        """Remember a start that came to its end, in the first folder that this user may write."""
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"when": when, "stages": {stage.key: stage.seconds for stage in stages}}
        for root in self._roots:
            with contextlib.suppress(OSError), _held(root):
                known = _read(root / FILE)
                known.pop(digest, None)
                starts = {**dict(list(known.items())[-(KEPT - 1) :]), digest: entry}
                text = json.dumps({"version": SCHEMA, "starts": starts}, separators=(",", ":"))
                state.write(root / FILE, text)
                return


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MOST_BYTES))
        if data["version"] != SCHEMA:
            return {}
        return {str(digest): dict(entry) for digest, entry in data["starts"].items() if isinstance(entry, dict)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


@contextlib.contextmanager
def _held(root: Path) -> Iterator[None]:
    """Two starts that end at once write one after the other."""
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    with state.open_private(root / f".{FILE}.lock", os.O_WRONLY | os.O_NOFOLLOW) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
