"""The numbers at the points of throughput over TTFT: off the lines, apart from one another, at the right points."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.bench.draw import labels
from dsv4_launch.bench.draw.rows import rows
from dsv4_launch.bench.published import keys, published

NEAR = {"n": 90, "nw": 135, "ne": 45, "w": 180, "e": 0, "sw": 225, "se": 315, "s": 270}


def points(*at: tuple[float, float], run: str = "one") -> list[dict[str, Any]]:
    return [{"run": run, "c": 2**n, "ttft_mean": x, "total_throughput": y} for n, (x, y) in enumerate(at)]


def written(found: list[dict[str, Any]], tag: str = "tag") -> dict[int, str]:
    labels.write(found, tag, math.log if tag == "tag_log" else float)
    return {row["c"]: row[tag] for row in found if tag in row}


def test_a_number_stands_where_no_line_passes() -> None:
    # Up to the right, then down to the right: free are the upper left, the top, the upper right.
    # Up, then down: the peak bears it on top. One above the other: at a side.
    assert written(points((100, 100), (300, 500), (500, 100)))[2] == "n"
    assert written(points((100, 100), (100, 300), (100, 500)))[2] in ("w", "e")


def test_points_without_room_bear_none() -> None:
    crowd = points(*((100 + n, 100 + n) for n in range(8)), (1000, 1000))
    found = written(crowd)
    assert 256 in found
    assert len(found) < 6


def test_of_many_series_only_the_busiest_point_bears_its_number() -> None:
    many = [row for n in range(12) for row in points((100 * n + 100, 100), (100 * n + 150, 900), run=f"r{n}")]
    assert set(written(many)) == {2}


@given(st.lists(st.tuples(st.floats(1, 1e5), st.floats(1, 1e5)), max_size=12), st.sampled_from(["tag", "tag_log"]))
def test_every_side_is_one_and_nothing_else_is_changed(at: list[tuple[float, float]], tag: str) -> None:
    found = points(*at)
    before = [dict(row) for row in found]
    assert set(written(found, tag).values()) <= set(NEAR)
    assert [{k: v for k, v in row.items() if k != tag} for row in found] == before
    if found:
        assert tag in found[-1] or len(found) > 1


def test_what_others_did_not_publish_is_no_zero() -> None:
    for key in keys():
        for row in rows([published(key)]):
            assert row.get("total_throughput", 1) > 0
            assert row.get("per_gpu", 1) > 0
