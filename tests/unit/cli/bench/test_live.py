"""The table of a sweep: what stands in a row, and that it fits into the terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from tests.unit.bench.runs import raw, run, side

from dsv4_launch.bench.point import point
from dsv4_launch.cli.bench.live import HEADS, Pace, PlainLive, Table, line, remarks, row

POINTS = run(levels=(1, 8, 1024)).points


def rows() -> list[tuple[str, ...]]:
    return [row(p.key, point(p, raw(p.concurrency, factor=p.concurrency), "x"), side(p)) for p in POINTS]


def test_a_row_has_medians_and_what_the_server_said() -> None:
    cells = dict(zip(HEADS, rows()[1], strict=True))
    assert (cells["conc"], cells["done"], cells["fail"]) == ("8", "80", "0")
    assert (cells["wait"], cells["KV"], cells["limit"]) == ("0", "30%", "server")
    assert cells["TTFT ms"] == "533.3"


def test_a_point_without_figures_says_how_it_ended() -> None:
    cells = row(POINTS[0].key, None, side(POINTS[0], "failed"))
    assert cells[-1] == "failed"
    assert set(cells[2:-1]) == {"-"}
    assert len(line(cells)) == len(line(HEADS))


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_table_on_a_terminal_is_cut_nowhere(width: int) -> None:
    console = Console(file=StringIO(), width=width, height=30, force_terminal=True, color_system=None)
    table = Table(console)
    for planned in POINTS:
        figures = point(planned, raw(planned.concurrency, factor=planned.concurrency), "x")
        table.measured(planned, side(planned), figures, 30.0)
    with console.capture() as captured:
        console.print(table._draw())
    drawn = captured.get()
    heads = next(text for text in drawn.splitlines() if "conc" in text)
    assert {"conc", "fail", "tok/s", "TTFT", "ITL", "limit"} <= set(heads.split())
    assert "…" not in drawn
    assert max(map(len, drawn.splitlines())) <= max(width, 70)


def test_what_failed_is_told_by_what_was_said_most() -> None:
    errors = {"refused": 1, "timed out": 5, "reset": 2, "odd": 1, "odder": 1}
    told = list(remarks(side(POINTS[0]).model_copy(update={"errors": errors, "notes": ("A note.",)})))
    assert told[:2] == ["5 failed: timed out", "2 failed: reset"]
    assert told[3:] == ["2 failed in 2 other ways", "A note."]


def test_a_log_says_when_nothing_is_left() -> None:
    said: list[str] = []
    PlainLive(said.append).planned((), (), 0.0)
    PlainLive(said.append).planned(POINTS[:1], (), None)
    assert said[0] == "Nothing is left to measure: 0 points measured before"
    assert said[1] == "1 point to measure"


def test_the_pace_of_a_point_is_that_of_its_own_requests() -> None:
    now_s = [100.0]
    pace = Pace(lambda: now_s[0])
    assert pace.text("a", "warming up", 1, 2) == ""
    assert pace.text("a", "measuring", 0, 10) == ""
    now_s[0] += 20
    assert pace.text("a", "measuring", 2, 10) == "this point: about 1:20 left"
    assert pace.text("a", "measuring", 10, 10) == ""
    assert pace.text("b", "measuring", 0, 10) == ""
    now_s[0] += 1
    assert pace.text("b", "measuring", 1, 10) == "this point: about 0:09 left"
