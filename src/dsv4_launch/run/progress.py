"""Saying what happens while it happens: one live line on a terminal, plain lines anywhere else.

Everything goes to stderr, whose writer the command line hands in; results are not said here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dsv4_launch.run.interrupts import hold
from dsv4_launch.values import clean

if TYPE_CHECKING:
    from rich.console import Console

# Where nobody watches a bar, a line this often says that it still goes on.
PLAIN_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Now:
    """What happens now. ``done`` of ``total`` (0: not known) in ``unit``: "B" for bytes, "" for things.

    ``item_bytes``: the mean size of a thing, where it has one. ``last_s``: seconds that it took last time (0: unknown).
    """

    title: str
    done: int = 0
    total: int = 0
    unit: str = ""
    detail: str = ""
    item_bytes: float = 0.0
    last_s: float = 0.0


class Progress(Protocol):
    """Where a long step tells how it goes."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def show(self, now: Now) -> None:
        """What happens now; replaces what was shown before."""

    def close(self) -> None:
        """The step is over: nothing is left on the screen but the lines that stay."""


class Silent:
    """Says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def show(self, now: Now) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Pace:
    """Time since a title was first shown, and how fast it goes since then."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._title = ""
        self._since_s = clock()
        self._from = 0

    def read(self, now: Now) -> tuple[float, float]:
        """Seconds in this title, and units a second (0: not known)."""
        moment_s = self._clock()
        if now.title != self._title:
            self._title, self._since_s, self._from = now.title, moment_s, now.done
        elapsed_s = moment_s - self._since_s
        return elapsed_s, (now.done - self._from) / elapsed_s if elapsed_s > 0.5 and now.done > self._from else 0.0


class PlainProgress:
    """A line when something new begins, and one every quarter of a minute while it lasts."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._started_s = clock()
        self._pace = Pace(clock)
        self._shown: tuple[str, str] = ("", "")
        self._shown_s = 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._write(clean(text))

    def show(self, now: Now) -> None:
        """A line if the title or detail is new, or if the last one is old."""
        moment_s = self._clock()
        _, rate = self._pace.read(now)
        if (now.title, now.detail) == self._shown and moment_s - self._shown_s < PLAIN_EVERY_S:
            return
        self._shown, self._shown_s = (now.title, now.detail), moment_s
        self._write(f"[{clock_text(moment_s - self._started_s)}] {clean(line(now, rate))}{_since(now)}")

    def close(self) -> None:
        """What comes next is new, whatever its title."""
        self._shown = ("", "")


class LiveProgress:
    """One line that moves, at the foot of a terminal."""

    def __init__(
        self, console: Console, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._write = write
        self._clock = clock
        self._started_s = clock()
        self._pace = Pace(clock)
        self._status: Any = None

    def say(self, text: str) -> None:
        """A line that stays, above the moving one."""
        from rich.text import Text

        if self._status is None:
            self._write(clean(text))
        else:
            self._console.print(Text(clean(text)))

    def show(self, now: Now) -> None:
        """Redraw the moving line."""
        from rich.text import Text

        elapsed_s, rate = self._pace.read(now)
        said = clean(line(now, rate))  # its detail is of the server's log
        text = Text(f"[{clock_text(self._clock() - self._started_s)}] {said}{_since(now, elapsed_s)}")
        if self._status is None:
            self._status = self._console.status(text)
            # What an interrupt leaves half started cannot be stopped any more; a terminal may be gone by then, too.
            with hold() as held:
                try:
                    self._status.start()
                except OSError:
                    if not held.came:
                        raise
            if held.came:
                raise KeyboardInterrupt
        else:
            self._status.update(text)

    def close(self) -> None:
        """Take the moving line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def line(now: Now, rate: float = 0.0) -> str:
    """``pulling the image  1.2 of 9.8 GB (12%), 110 MB/s``."""
    parts = [now.title]
    if now.unit == "B":
        parts.append(_bytes_text(now, rate))
    elif now.total:
        parts.append(f"{now.done}/{now.total}{_things_text(now, rate)}")
    if now.detail:
        parts.append(f"({now.detail})")
    return " ".join(part for part in parts if part)


def _since(now: Now, elapsed_s: float = 0.0) -> str:
    """``  0:31, last time 1:05``: how long it goes on, once that is worth saying."""
    said = clock_text(elapsed_s) if elapsed_s >= 1 else ""
    last = f"last time {clock_text(now.last_s)}" if now.last_s >= 1 else ""
    both = ", ".join(part for part in (said, last) if part)
    return f"  {both}" if both else ""


def _things_text(now: Now, rate: float) -> str:
    """``, 38.7 of 148.7 GiB, 1.1 GiB/s, 1:40 left``: what is known of things that are counted."""
    gib = now.item_bytes / (1 << 30)
    parts = [f"{now.done * gib:.1f} of {now.total * gib:.1f} GiB"] if gib else []
    parts += [f"{rate * gib:.2f} GiB/s"] if gib and rate else []
    parts += [f"{clock_text((now.total - now.done) / rate)} left"] if rate and now.total > now.done else []
    return "".join(f", {part}" for part in parts)


def _bytes_text(now: Now, rate: float) -> str:
    if not now.total and not now.done:
        return ""
    speed = f", {size_text(rate)}/s" if rate else ""
    if not now.total:
        return f"{size_text(now.done)}{speed}"
    left = f", {clock_text((now.total - now.done) / rate)} left" if rate and now.total > now.done else ""
    return f"{size_text(now.done)} of {size_text(now.total)} ({100 * now.done // now.total}%){speed}{left}"


def size_text(count: float) -> str:
    """Bytes for a person, in powers of a thousand: ``9.8 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def clock_text(seconds: float) -> str:
    """``1:05`` or ``1:02:05``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
