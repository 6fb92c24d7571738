"""The log of a starting server, followed in the background: the stage that it has reached, and its last lines."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from dsv4_launch.errors import Dsv4Error
from dsv4_launch.run.start.stages import Stage, advance, all_said

KEPT_LINES = 400
# The log of a server that answers may lag behind: 2 s. One that is told to log less says its last words never.
LAST_WORDS_LOOKS, LOOK_S = 40, 0.05


class LogTail:
    """Follows a log in the background: the stage it has reached, and its last lines."""

    def __init__(self, lines: Callable[[], Iterable[str]], now: Callable[[], float] = time.monotonic) -> None:
        # A line comes with its time: it is taken in later, and several at once.
        self._queue: queue.SimpleQueue[tuple[float, str] | None] = queue.SimpleQueue()
        self._lines, self._now = lines, now
        self.stage = Stage()
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self.ended = False
        # A read of a log cannot be ended from outside, only left behind.
        self._thread = threading.Thread(target=self._read, name="log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._lines():
                self._queue.put((self._now(), line))
        except (Dsv4Error, OSError):
            pass  # the service is gone, or its engine: that is found out by looking at the service
        except Exception:
            self._queue.put((self._now(), "dsv4: the log could not be followed further"))
        finally:
            self._queue.put(None)

    def drain(self, reached: Callable[[Stage, float], None] = lambda *_: None) -> None:
        """Take in what was read meanwhile; ``reached`` is told each stage and when, also one over in no time."""
        for _ in range(self._queue.qsize()):
            read = self._queue.get_nowait()
            if read is None:
                self.ended = True
                continue
            at_s, line = read
            self.last.append(line)
            after = advance(self.stage, line)
            if after.key != self.stage.key:
                reached(after, at_s)
            self.stage = after

    def hear_out(self, reached: Callable[[Stage, float], None]) -> None:
        """Drain until the last thing that a start says is taken in, for a while: a log may say it late, or never.

        The while is a number of looks, not a deadline: of a machine that stood still, only one of them is over.
        """
        self.drain(reached)
        for _ in range(LAST_WORDS_LOOKS):
            if self.ended or all_said(self.stage):
                return
            self._thread.join(LOOK_S)
            self.drain(reached)

    def finish(self, timeout_s: float = 10.0) -> None:
        """Take in the rest of a log whose writer has ended."""
        self._thread.join(timeout_s)
        self.drain()
