"""Ctrl-C, and SIGTERM and SIGHUP as the same: held back while something is half made, not heard while it is undone.

What is ignored (SIGHUP under `nohup`) stays ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

# What ends a process twice within this time ends it once.
TOLD_TWICE_S = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Those of stdout and stderr that were terminals when this process began to listen.
_terminals: list[int] = []


def terminate_as_interrupt() -> None:
    """Make SIGTERM, and the SIGHUP of a closed terminal, end this process as Ctrl-C does: it stops what it made."""
    if threading.current_thread() is not threading.main_thread():
        return
    _terminals[:] = [number for number in (1, 2) if os.isatty(number)]
    once = _Once()
    signal.signal(signal.SIGTERM, once.end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, once.end)


class _Once:
    """One end, told twice: of a closed terminal by the kernel and by its shell, of a session by SIGTERM and SIGHUP.

    The second word must not interrupt what the first one began to undo, before that is deaf to it.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._heard_s = float("-inf")

    def end(self, number: int, frame: FrameType | None) -> None:
        """The handler: raises KeyboardInterrupt."""
        _leave_what_is_gone()
        before_s, self._heard_s = self._heard_s, self._now()
        if self._heard_s - before_s > TOLD_TWICE_S:
            signal.default_int_handler(number, frame)


def _leave_what_is_gone() -> None:
    """A write to a terminal that was closed fails, in the middle of undoing: it goes nowhere instead."""
    gone = [number for number in _terminals if not os.isatty(number)]
    if gone:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in gone:
            os.dup2(nowhere, number)
        os.close(nowhere)


class Held:
    """Signals that came while they were held; the second one is not held any more."""

    def __init__(self) -> None:
        self.came = 0

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """The handler meanwhile."""
        _leave_what_is_gone()
        self.came += 1
        if self.came > 1:
            raise KeyboardInterrupt


@contextlib.contextmanager
def hold() -> Iterator[Held]:
    """Let what is under way come to its end first; who holds looks at ``came`` afterwards."""
    held = Held()
    with _handled_by(held.note):
        yield held


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """A second Ctrl-C must not leave half of what the first one began to undo."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled_by(handler: signal._HANDLER) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers belong to the main thread; another one is never interrupted
        return
    ignored = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in _SIGNALS if number not in ignored}
    try:
        yield
    finally:
        _leave_what_is_gone()
        for number, old in before.items():
            signal.signal(number, old)
