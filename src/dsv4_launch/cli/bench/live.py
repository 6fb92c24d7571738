"""The live table of a sweep: what was measured, how far the present point is, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dsv4_launch.cli import show
from dsv4_launch.run.progress import PLAIN_EVERY_S, clock_text
from dsv4_launch.values import counted

if TYPE_CHECKING:
    from rich.console import Console

    from dsv4_launch.bench.point import Latency, Point
    from dsv4_launch.bench.results import Planned, Side
    from dsv4_launch.run.bench.point import Phase
    from dsv4_launch.run.bench.store import Measured

HEADS = (
    *("conc", "run", "done", "fail", "req/s", "out tok/s", "tok/s"),
    *("TTFT ms", "p95", "ITL ms", "p95", "wait", "KV", "limit"),
)
_WIDTHS = (5, 3, 6, 5, 7, 9, 8, 8, 8, 7, 7, 5, 4, 7)
# What a narrow terminal does without, by its place among the heads, the first one first.
_DISPENSABLE = (1, 4, 2, 5, 10, 8)
# So many kinds of errors are told, the most frequent ones.
_SAID = 3


def row(key: str, point: Point | None, side: Side | None) -> tuple[str, ...]:
    """One measured point as cells of the table.

    Medians, then the 95th percentiles; then what the server said: requests that waited, on average, and the most of
    its KV cache that was in use; and who was the limit.
    """
    concurrency, _, repeat = key.removeprefix("c").partition("-r")
    first = (str(int(concurrency)), repeat)
    if point is None or not point.completed:
        gone = ("-" if point is None else "0", "-" if point is None else str(point.failed))
        return (*first, *gone, *("-",) * 9, side.status if side is not None else "")
    limit = {"client": "client!", "server": "server", "unknown": "?"}[side.client.verdict] if side is not None else "?"
    return (
        *first,
        str(point.completed),
        str(point.failed),
        f"{point.request_throughput:.2f}",
        f"{point.output_throughput:.0f}",
        f"{point.total_throughput:.0f}",
        *_pair(point.ttft),
        *_pair(point.itl),
        *_server(side),
        limit,
    )


def _pair(latency: Latency | None) -> tuple[str, str]:
    if latency is None:
        return "-", "-"
    return _ms(latency.median), _ms(latency.p95)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def _server(side: Side | None) -> tuple[str, str]:
    server = side.server if side is not None else None
    waiting, usage = (server.waiting_mean, server.kv_usage_max) if server is not None else (None, None)
    return "-" if waiting is None else f"{waiting:.0f}", "-" if usage is None else f"{usage:.0%}"


def line(cells: Sequence[str]) -> str:
    """Cells in columns, for a log."""
    return " ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


def fitting(rows: Sequence[Sequence[str]], width: int) -> tuple[int, ...]:
    """The columns, by their places, that are shown where there is so much room: all of them if they fit."""
    widths = [max(len(row[place]) for row in (HEADS, *rows)) for place in range(len(HEADS))]
    shown = list(range(len(HEADS)))
    for place in _DISPENSABLE:
        if sum(widths[kept] for kept in shown) + 2 * (len(shown) - 1) <= width:
            break
        shown.remove(place)
    return tuple(shown)


def remarks(side: Side) -> Iterator[str]:
    """What is said of a point below its row: why it failed, what failed requests said most, what limited it, notes."""
    if side.why:
        yield side.why
    said = sorted(side.errors.items(), key=lambda one: -one[1])
    for error, count in said[:_SAID]:
        yield f"{count} failed: {error}"
    if len(said) > _SAID:
        yield f"{sum(count for _, count in said[_SAID:])} failed in {len(said) - _SAID} other ways"
    for why in side.client.why:
        yield f"the client was the limit: {why}"
    yield from side.notes


def left_text(eta_s: float | None) -> str:
    """``about 12:00 left``, or nothing."""
    return "" if eta_s is None else f"about {clock_text(eta_s)} left"


class Pace:
    """How long the present point will take, from the requests that it has finished."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._key, self._since_s = clock, "", 0.0

    def text(self, key: str, phase: str, done: int, total: int) -> str:
        """``this point: about 12:00 left``, once it measures and a request is finished; else nothing."""
        now_s = self._clock()
        if phase != "measuring":
            self._key = ""
            return ""
        if key != self._key:
            self._key, self._since_s = key, now_s
        if not done or done >= total:
            return ""
        return f"this point: {left_text((now_s - self._since_s) / done * (total - done))}"


class PlainLive:
    """A line for each point that is over, and now and then one that says how far the present one is."""

    def __init__(self, write: Callable[[str], None] = show.note, clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._said_s, self._phase, self._number, self._all = 0.0, "", 0, 0
        self._pace = Pace(clock)

    def planned(self, todo: Sequence[Planned], done: Sequence[Measured], eta_s: float | None) -> None:
        """What is left."""
        self._all = len(todo)
        before = sum(1 for one in done if one.side is not None and one.planned not in todo)
        if not todo:
            self._write(f"Nothing is left to measure: {counted(before, 'point')} measured before")
            return
        told = (
            f"{counted(len(todo), 'point')} to measure",
            f"{before} measured before" if before else "",
            left_text(eta_s),
        )
        self._write(", ".join(filter(None, told)))
        self._write(line(HEADS))

    def point(self, planned: Planned, phase: Phase, done: int, total: int) -> None:
        """A line when the phase is new or the last line is old."""
        now_s, left = self._clock(), self._pace.text(planned.key, phase, done, total)
        if phase == self._phase and now_s - self._said_s < PLAIN_EVERY_S:
            return
        self._phase, self._said_s = phase, now_s
        self._write(f"  {planned.key}: {phase} {done}/{total}{left and f', {left}'}")

    def measured(self, planned: Planned, side: Side, point: Point | None, eta_s: float | None) -> None:
        """The point's row."""
        self._number, self._phase = self._number + 1, ""
        self._write(line(row(planned.key, point, side)))
        for text in remarks(side):
            self._write(f"  {show.clean(text)}")
        if eta_s is not None and self._number < self._all:
            self._write(f"  {self._number} of {counted(self._all, 'point')}, {left_text(eta_s)}")

    def say(self, text: str) -> None:
        """A line that stays."""
        self._write(show.clean(text))

    def close(self) -> None:
        """Nothing moves here."""


class Table:
    """A table at the foot of a terminal that fills up, with a bar below it."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._rows: list[tuple[str, ...]] = []
        self._live: Any = None
        self._now: tuple[str, str, int, int] = ("", "", 0, 0)
        self._pace, self._left = Pace(clock), ""
        self._done = self._all = 0
        self._eta_s: float | None = None
        self._eta_at_s = 0.0

    def planned(self, todo: Sequence[Planned], done: Sequence[Measured], eta_s: float | None) -> None:
        """Begin, with the rows that are there already."""
        from rich.live import Live

        self._rows = [row(one.planned.key, one.point, one.side) for one in done if one.side is not None]
        self._done, self._all = 0, len(todo)
        self._eta_s, self._eta_at_s = eta_s, self._clock()
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def point(self, planned: Planned, phase: Phase, done: int, total: int) -> None:
        """How far the present point is."""
        self._now, self._left = (planned.key, phase, done, total), self._pace.text(planned.key, phase, done, total)

    def measured(self, planned: Planned, side: Side, point: Point | None, eta_s: float | None) -> None:
        """One more row."""
        self._rows.append(row(planned.key, point, side))
        self._done, self._eta_s, self._eta_at_s = self._done + 1, eta_s, self._clock()
        for text in remarks(side):
            self.say(f"{planned.key}: {text}")

    def say(self, text: str) -> None:
        """A line that stays, above the table."""
        from rich.text import Text

        self._console.print(Text(show.clean(text)))

    def close(self) -> None:
        """Take it away; the results are printed by whoever has them."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table as RichTable
        from rich.text import Text

        rows = self._rows[-max(4, self._console.height - 6) :]
        shown = fitting(rows, self._console.width)
        table = RichTable(box=None, pad_edge=False, padding=(0, 1), collapse_padding=False, header_style="bold")
        for place in shown:
            table.add_column(HEADS[place], justify="right", no_wrap=True)
        for cells in rows:
            table.add_row(*(cells[place] for place in shown), style="yellow" if cells[-1] == "client!" else None)
        key, phase, done, total = self._now
        share = (self._done + (done / total if total and phase == "measuring" else 0)) / max(1, self._all)
        eta_s = None if self._eta_s is None else max(0.0, self._eta_s - (self._clock() - self._eta_at_s))
        words = filter(None, (f"point {self._done + 1} of {self._all}", key, phase, f"{done}/{total}" if total else ""))
        text = Text("  ".join((*words, self._left if eta_s is None else left_text(eta_s))))
        return Group(table, ProgressBar(total=1.0, completed=share, width=min(60, self._console.width)), text)
