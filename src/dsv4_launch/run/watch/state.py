"""What a watcher remembers of a service, so that the next one takes over where it was killed.

One small JSON file beside the state of native services; whoever may not write it watches without a memory.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsv4_launch.run import state
from dsv4_launch.run.watch.event import Event
from dsv4_launch.values import to_data

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """``created`` says which service it is about. ``times_s`` are restarts, in seconds since the epoch."""

    created: str = ""
    restarts: int = 0
    times_s: tuple[float, ...] = ()
    last: Mapping[str, Any] | None = None

    def with_event(self, event: Event) -> Memory:
        """The same with one failure more."""
        return replace(self, last=to_data(event))


def read(target: str, name: str, created: str, environ: Mapping[str, str]) -> Memory:
    """What is remembered of this very service; an empty memory where nothing (whole) is."""
    for root in state.roots(environ):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            data = json.loads(_file(root, target, name).read_bytes())
            if data.pop("version") == SCHEMA and data["created"] == created:
                times = tuple(float(time_s) for time_s in data["times_s"])
                return Memory(created, int(data["restarts"]), times, dict(data["last"]) if data["last"] else None)
    return Memory(created)


def write(target: str, name: str, memory: Memory, environ: Mapping[str, str]) -> None:
    """Replace the memory in one step, where this user may."""
    text = json.dumps({"version": SCHEMA, **to_data(memory)}, ensure_ascii=False)
    for root in state.roots(environ):
        file = _file(root, target, name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            state.write(file, text)
        except OSError:
            continue
        return


def forget(target: str, name: str, environ: Mapping[str, str]) -> None:
    """Remove the memory of a service that is gone."""
    for root in state.roots(environ):
        with contextlib.suppress(OSError):
            _file(root, target, name).unlink()


def _file(root: Path, target: str, name: str) -> Path:
    return root / "watch" / f"{target}-{name}.json"
