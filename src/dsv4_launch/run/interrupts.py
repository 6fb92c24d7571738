"""Ctrl-C, and SIGTERM as the same: held back while something is half made, not heard while it is undone."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def terminate_as_interrupt() -> None:
    """Make SIGTERM end this process as Ctrl-C does, so that what was started is stopped too."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


class Held:
    """Signals that came while they were held; the second one is not held any more."""

    def __init__(self) -> None:
        self.came = 0

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """The handler meanwhile."""
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
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
