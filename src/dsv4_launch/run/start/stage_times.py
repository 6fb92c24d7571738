"""How long each stage of a start took, and how long it took last time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dsv4_launch.run.progress import clock_text

# A stage shorter than this, now and last time, is not worth a line; scripts are told of it all the same.
_WORTH_S = 1.0


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of a start that is over. ``last_seconds`` is None when no start of the same plan is known.

    ``seconds`` to the microsecond: of lines that a log gives in one piece the shortest stage still took its time.
    """

    key: str
    title: str
    seconds: float
    last_seconds: float | None = None

    @property
    def text(self) -> str:
        """``loading weights: 1:12, last time 1:05``."""
        last = "" if self.last_seconds is None else f", last time {clock_text(self.last_seconds)}"
        return f"{self.title}: {clock_text(self.seconds)}{last}"


class StageTimes:
    """Adds up the stages of one start. A stage that comes again goes on; ``over`` is told each that ends."""

    def __init__(
        self,
        now: Callable[[], float],
        last: Mapping[str, float] | None = None,
        over: Callable[[StageTime], None] = lambda _: None,
    ) -> None:
        self._now, self._last, self._over = now, dict(last or {}), over
        self._titles: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._key, self._since_s = "", 0.0

    def reach(self, key: str, title: str, at_s: float | None = None) -> None:
        """The stage ``key`` begins, and the one before it ends. ``at_s``: when, on the clock of ``now``."""
        at_s = self._now() if at_s is None else at_s
        if key == self._key:
            return
        self._close(at_s)
        self._key, self._since_s = key, at_s
        self._titles.setdefault(key, title)

    def end(self) -> tuple[StageTime, ...]:
        """The last stage is over: all of them, in the order in which they began."""
        self._close(self._now())
        self._key = ""
        return tuple(self._time(key) for key in self._seconds)

    def last(self, key: str) -> float:
        """How long the stage took last time, 0 when that is not known."""
        return self._last.get(key, 0.0)

    def _close(self, at_s: float) -> None:
        if not self._key:
            return
        took_s = max(0.0, at_s - self._since_s)
        self._seconds[self._key] = self._seconds.get(self._key, 0.0) + took_s
        if max(took_s, self.last(self._key)) >= _WORTH_S:
            self._over(self._time(self._key))

    def _time(self, key: str) -> StageTime:
        last = self._last.get(key)
        return StageTime(key, self._titles[key], round(self._seconds[key], 6), None if last is None else last)
