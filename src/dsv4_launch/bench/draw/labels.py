"""Where the concurrency is written beside the points of throughput over TTFT: off the lines, and not on one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from dsv4_launch.bench.series import MANY

# The sides of a point, as compass points; of equally free ones the first is taken.
_SIDES: Final = {"n": 90, "nw": 135, "ne": 45, "w": 180, "e": 0, "sw": 225, "se": 315, "s": 270}
# In heights of the plot: its width, the size of a number, and how far its middle is from its point.
_ASPECT, _WIDE, _HIGH, _AWAY = 1.7, 0.085, 0.05, 0.055
# A line that passes nearer than this angle runs through the number.
_FREE: Final = 45.0
_WIDE_FROM = 20
_Place = tuple[float, float]


def is_wide(values: Sequence[float]) -> bool:
    """Whether an axis of TTFT is logarithmic: where its values span more than a factor of 20."""
    return bool(values) and max(values) > _WIDE_FROM * min(values)


def write(rows: Sequence[dict[str, Any]], tag: str, scale: Callable[[float], float]) -> None:
    """Give the points that bear their concurrency a ``tag``: the side at which it stands.

    From the busiest down, each that finds room at a side that no line passes. Of many series only the busiest point of
    each. ``scale`` is that of the axis of throughput.
    """
    drawn = [row for row in rows if row.get("ttft_mean", 0) > 0 and row.get("total_throughput", 0) > 0]
    places = _places(drawn, scale)
    lines: dict[str, list[int]] = {}
    for number, row in enumerate(drawn):
        lines.setdefault(row["run"], []).append(number)
    last = {numbers[-1] for numbers in lines.values()}
    written: list[_Place] = []
    for number in sorted(range(len(drawn)), key=lambda number: -drawn[number]["c"]):
        if len(lines) >= MANY and number not in last:
            continue
        line = lines[drawn[number]["run"]]
        at = line.index(number)
        beside = [places[line[near]] for near in (at - 1, at + 1) if 0 <= near < len(line)]
        others = [place for other, place in enumerate(places) if other != number]
        side, middle = _side(places[number], beside, [*written, *others])
        if side:
            written.append(middle)
            drawn[number][tag] = side


def _places(drawn: Iterable[Mapping[str, Any]], scale: Callable[[float], float]) -> list[_Place]:
    """Where the points are drawn, in heights of the plot."""
    found = list(drawn)
    across = math.log if is_wide([row["ttft_mean"] for row in found]) else float
    xs, ys = [across(row["ttft_mean"]) for row in found], [scale(row["total_throughput"]) for row in found]
    wide, high = (max(values) - min(values) or 1.0 if values else 1.0 for values in (xs, ys))
    return [(_ASPECT * x / wide, y / high) for x, y in zip(xs, ys, strict=True)]


def _side(place: _Place, beside: Sequence[_Place], taken: Sequence[_Place]) -> tuple[str, _Place]:
    """The freest side of a point that has room, and the middle of what is written there; "" where there is none."""
    angles = [math.degrees(math.atan2(y - place[1], x - place[0])) for x, y in beside]
    free = {
        side: min((abs((angle - at + 180) % 360 - 180) for angle in angles), default=180) for side, at in _SIDES.items()
    }
    for side in sorted(_SIDES, key=lambda side: -min(free[side], 100)):
        at = math.radians(_SIDES[side])
        middle = (place[0] + _AWAY * math.cos(at), place[1] + _AWAY * math.sin(at))
        room = all(abs(middle[0] - x) > _WIDE * 0.75 or abs(middle[1] - y) > _HIGH * 0.75 for x, y in taken)
        if room and free[side] >= _FREE:
            return side, middle
    return "", place
