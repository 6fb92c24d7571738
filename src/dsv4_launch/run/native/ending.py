"""How a server ended, in words, and when it is started again: pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass

_FIRST_DELAY_S, _LONGEST_DELAY_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Ending:
    """``exit_code`` as a shell tells it: 128 + n for signal n."""

    exit_code: int
    text: str
    out_of_memory: bool = False


def describe(status: int, *, oom: bool = False) -> Ending:
    """The ending that a wait status means: the exit code, or the negative number of the signal."""
    if status >= 0:
        return Ending(status, f"it exited with code {status}")
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    why = ": the machine ran out of memory" if oom else ""
    return Ending(128 - status, f"it was killed by {name}{why}", oom)


def fails(ending: Ending) -> bool:
    """True for an ending that a restart policy of ``on-failure`` acts on."""
    return ending.exit_code != 0


def delay_s(restarts: int) -> float:
    """Seconds before the n-th restart: 1, 2, 4, … 60, so that a crash loop does not load the machine."""
    return float(min(_FIRST_DELAY_S * 2 ** min(max(restarts - 1, 0), 10), _LONGEST_DELAY_S))
