"""The log of a container as lines: of one life, and over its restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from dsv4_launch.run.logs.lines import LineSplitter

AGAIN_S = 0.5


def lines(stream: Iterable[bytes]) -> Iterator[str]:
    """Whole lines from the chunks that the engine sends."""
    splitter = LineSplitter()
    for chunk in stream:
        for line in splitter.feed(chunk):
            yield line.decode("utf-8", "replace").rstrip("\r")
    if splitter.rest:
        yield splitter.rest.decode("utf-8", "replace")


def follow(api: Any, name: str, over: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """What the log gains from now on, until ``over``. The engine's stream ends with each life of the container.

    The next life is read from the end of the last one, by the engine's own clock: however late its start is seen, none
    of its lines is lost.
    """
    read, since_s = "", None
    while not over():
        began = str(_state(api, name).get("StartedAt") or "")
        if began and began != read:
            tail = 0 if since_s is None else "all"
            stream = api.logs(name, stdout=True, stderr=True, stream=True, follow=True, tail=tail, since=since_s)
            yield from lines(stream)
            state = _state(api, name)
            if state.get("StartedAt") == began and state.get("Running"):
                since_s = None  # the stream broke off, not the server
            else:
                read, since_s = began, epoch_s(str(state.get("FinishedAt") or began))
        sleep(AGAIN_S)


def epoch_s(text: str) -> float:
    """The engine's time (ISO 8601 UTC with nanoseconds) as seconds since the epoch, to the microsecond."""
    whole, _, part = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{part[:6] or 0}")


def _state(api: Any, name: str) -> Mapping[str, Any]:
    state: Mapping[str, Any] = api.inspect_container(name)["State"]
    return state
