"""Progress without a terminal: lines when something is new, and now and then."""

from __future__ import annotations

import io
import signal

import pytest

from dsv4_launch.run.progress import LiveProgress, Now, PlainProgress, clock_text, line, size_text


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_line_when_it_is_new_and_one_every_quarter_of_a_minute() -> None:
    clock, lines = Clock(), list[str]()
    progress = PlainProgress(lines.append, clock)
    for second in range(40):
        clock.now_s = float(second)
        progress.show(Now("loading weights", second, 46))
    progress.show(Now("loading weights", 40, 46, detail="slowly"))
    assert lines == [
        "[0:00] loading weights 0/46",
        "[0:15] loading weights 15/46, 0:31 left",
        "[0:30] loading weights 30/46, 0:16 left",
        "[0:39] loading weights 40/46, 0:05 left (slowly)",
    ]


def test_things_that_have_a_size_and_a_last_time() -> None:
    clock, lines = Clock(), list[str]()
    progress = PlainProgress(lines.append, clock)
    progress.show(Now("loading weights", 6, 46, item_bytes=3 << 30, last_s=65))
    clock.now_s = 20.0
    progress.show(Now("loading weights", 26, 46, item_bytes=3 << 30, last_s=65))
    assert lines == [
        "[0:00] loading weights 6/46, 18.0 of 138.0 GiB  last time 1:05",
        "[0:20] loading weights 26/46, 78.0 of 138.0 GiB, 3.00 GiB/s, 0:20 left  last time 1:05",
    ]


def test_a_terminal_has_one_line_that_moves_and_lines_that_stay() -> None:
    from io import StringIO

    from rich.console import Console

    clock, screen = Clock(), StringIO()
    progress = LiveProgress(Console(file=screen, force_terminal=True, width=100), lambda _: None, clock)
    progress.show(Now("capturing CUDA graphs", 3, 51, last_s=12))
    clock.now_s = 7.0
    progress.show(Now("capturing CUDA graphs", 24, 51, last_s=12))
    progress.say("loading weights: 1:12, last time 1:05")
    progress.close()
    said = screen.getvalue()
    assert "[0:07] capturing CUDA graphs 24/51, 0:09 left  0:07, last time 0:12" in said
    assert "loading weights: 1:12, last time 1:05" in said


def test_bytes_have_a_rate_and_an_end() -> None:
    clock, lines = Clock(), list[str]()
    progress = PlainProgress(lines.append, clock)
    progress.show(Now("pulling x", 0, 10_000_000_000, "B"))
    clock.now_s = 20.0
    progress.show(Now("pulling x", 2_000_000_000, 10_000_000_000, "B"))
    assert lines[-1] == "[0:20] pulling x 2.0 GB of 10.0 GB (20%), 100 MB/s, 1:20 left"


def test_resumed_bytes_are_no_speed() -> None:
    clock, lines = Clock(), list[str]()
    progress = PlainProgress(lines.append, clock)
    progress.show(Now("pulling x", 9_000_000_000, 10_000_000_000, "B"))
    clock.now_s = 20.0
    progress.show(Now("pulling x", 9_000_000_000, 10_000_000_000, "B"))
    assert "/s" not in lines[-1]


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (Now("x"), "x"),
        (Now("x", 0, 0, "B"), "x"),
        (Now("x", 5, 0, "B"), "x 5 B"),
        (Now("x", 1, 2, "", "y"), "x 1/2 (y)"),
    ],
)
def test_lines(now: Now, text: str) -> None:
    assert line(now) == text


def test_sizes_and_times() -> None:
    assert [size_text(n) for n in (0, 999, 1500, 250_000_000, 9.8e9, 5e12)] == [
        "0 B", "999 B", "1.5 kB", "250 MB", "9.8 GB", "5.0 TB",
    ]  # fmt: skip
    assert [clock_text(s) for s in (0, 65, 3725)] == ["0:00", "1:05", "1:02:05"]


def test_an_interrupt_while_the_moving_line_appears_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    shown = console.show_cursor

    def show_cursor(show: bool = True) -> bool:
        if not show:  # the first thing that a moving line does
            signal.raise_signal(signal.SIGINT)
        return shown(show)

    monkeypatch.setattr(console, "show_cursor", show_cursor)
    progress = LiveProgress(console, lambda _: None, Clock())
    with pytest.raises(KeyboardInterrupt):
        progress.show(Now("loading weights"))
    progress.close()
