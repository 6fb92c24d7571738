"""The client's verdict: late, busy or starved clients are told, and one that kept up is not."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.bench.point import point
from dsv4_launch.bench.results import Planned
from dsv4_launch.bench.verdict import Watched, judge, watched

RECORDED = Path(__file__).parents[2] / "recorded" / "bench"
RAW = json.loads((RECORDED / "a/points/c0004-r1.json").read_text())
POINT = point(Planned(key="c0004-r1", concurrency=4, repeat=1, num_prompts=24), RAW, "x")
CALM = Watched(cpu=0.2, lag_mean_ms=0.1, lag_p99_ms=1.0, lag_max_ms=3.0)


def rows(lags: list[float], cpu: float = 0.5, lines: int = 20) -> list[dict]:
    return [{"t": 100 + 0.5 * n, "cpu": 0.5 * n * cpu, "all": n, "lags": lags} for n in range(lines)]


def test_a_client_that_kept_up_was_not_the_limit() -> None:
    found = judge(CALM, POINT)
    assert found.verdict == "server"
    assert found.why == ()
    assert found.concurrency == pytest.approx(4, rel=0.05)


def test_a_late_loop_a_busy_one_and_a_starved_one_are_told() -> None:
    late = judge(Watched(cpu=0.2, lag_mean_ms=2, lag_p99_ms=40, lag_max_ms=90), POINT)
    assert late.verdict == "client"
    assert "40 ms late" in late.why[0]
    busy = judge(Watched(cpu=0.97, lag_mean_ms=0, lag_p99_ms=0, lag_max_ms=0), POINT)
    assert "97% of a core" in busy.why[0]
    few = point(
        Planned(key="c0008-r1", concurrency=8, repeat=1, num_prompts=64), RAW | {"completed": 32, "duration": 4.0}, "x"
    )
    assert any("in flight" in why for why in judge(CALM, few).why)


def test_what_was_just_too_late_does_not_read_as_what_is_allowed() -> None:
    (why,) = judge(Watched(cpu=0.2, lag_mean_ms=1, lag_p99_ms=5.3, lag_max_ms=9), POINT).why
    assert why == "its event loop was 5.30 ms late at p99, more than the 5.00 ms allowed"


def test_lateness_is_weighed_against_the_ttft() -> None:
    slow = point(
        Planned(key="c0004-r1", concurrency=4, repeat=1, num_prompts=24), RAW | {"median_ttft_ms": 2000.0}, "x"
    )
    late = Watched(cpu=0.2, lag_mean_ms=2, lag_p99_ms=40, lag_max_ms=90)
    assert judge(late, slow).verdict == "server"


def test_a_late_client_does_not_make_its_own_lateness_allowed() -> None:
    own = point(Planned(key="c0004-r1", concurrency=4, repeat=1, num_prompts=24), RAW | {"median_ttft_ms": 2900.0}, "x")
    found = judge(Watched(cpu=0.2, lag_mean_ms=900, lag_p99_ms=2800, lag_max_ms=6000), own)
    assert "more than the 5 ms allowed" in found.why[0]


def test_a_client_that_was_not_watched_is_unknown_unless_its_machine_was_full() -> None:
    assert judge(Watched(), POINT).verdict == "unknown"
    assert judge(Watched(), POINT, 0.5).verdict == "unknown"
    assert judge(Watched(), POINT, 0.99).verdict == "client"
    assert judge(CALM, POINT, 0.99).verdict == "server"


def test_a_long_pause_weighs_as_long_as_it_lasted() -> None:
    calm = watched(rows([0.1] * 50), 100, 110, 10)
    assert calm.lag_p99_ms == pytest.approx(0.1)
    assert calm.cpu == pytest.approx(0.5)
    # One pause of 100 ms in each 600: a sixth of the time, though one look of fifty-one.
    paused = watched(rows([0.1] * 50 + [100.0]), 100, 110, 10)
    assert paused.lag_p99_ms == 100
    assert paused.lag_mean_ms == pytest.approx(100 * 100 / 2 / (50 * 10.1 + 110), rel=0.01)


def test_only_what_was_measured_counts() -> None:
    early = [{"t": 90, "cpu": 0, "all": 0, "lags": [500.0] * 20}]
    assert watched(early + rows([0.1] * 50), 100, 110, 10).lag_max_ms == 0.1


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.text(max_size=2))), max_size=5))
def test_broken_lines_are_passed_over(junk: list[object]) -> None:
    broken = [{"t": value, "lags": value} for value in junk]
    assert watched([*broken, *rows([0.1] * 50)], 100, 110, 10).lag_max_ms == 0.1


def test_too_few_looks_say_nothing() -> None:
    assert watched([], 0, 1, 10) == Watched()
