"""Rates and percentiles between two scrapes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.run.status.histogram import Histogram
from dsv4_launch.run.status.metrics import Metrics
from dsv4_launch.run.status.window import between

INF = math.inf
BOUNDS = (0.1, 0.25, 0.5, 1.0, INF)
# 2 up to 0.1 s, 2 more up to 0.25 s, 4 more up to 0.5 s, none up to 1 s, 2 beyond.
SOME = Histogram(BOUNDS, (2, 4, 8, 8, 10), 7.5)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (0, 0.0),
        (0.1, 0.05),  # the first bucket begins at 0
        (0.2, 0.1),
        (0.3, 0.175),
        (0.5, 0.3125),
        (0.8, 0.5),
        (0.9, 1.0),  # beyond the last finite bound: that bound
        (1, 1.0),
        (1.5, None),
        (-0.1, None),
    ],
)
def test_quantile_is_linear_inside_a_bucket(q: float, expected: float | None) -> None:
    assert SOME.quantile(q) == (None if expected is None else pytest.approx(expected))


def test_nothing_observed_has_no_quantile_and_no_mean() -> None:
    empty = Histogram(BOUNDS, (0,) * 5, 0.0)
    assert empty.quantile(0.5) is None
    assert empty.mean is None
    assert Histogram((), (), 0.0).quantile(0.5) is None
    assert Histogram((INF,), (3,), 1.0).quantile(0.5) is None


def test_since_holds_only_what_came_after() -> None:
    later = Histogram(BOUNDS, (2, 5, 12, 12, 14), 9.0)
    grown = later.since(SOME)
    assert grown == Histogram(BOUNDS, (0, 1, 4, 4, 4), 1.5)
    assert grown.mean == pytest.approx(0.375)
    assert grown.quantile(0.5) == pytest.approx(0.25 + 0.25 / 3)


def test_since_of_another_server_is_none() -> None:
    assert SOME.since(Histogram(BOUNDS, (9, 9, 9, 9, 9), 1.0)) is None
    assert SOME.since(Histogram((1.0, INF), (1, 1), 1.0)) is None


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    """A histogram of vLLM's shape: ascending bounds with infinity, counts that never fall."""
    finite = draw(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=12, unique=True))
    bounds = (*sorted(finite), INF)
    steps = draw(st.lists(st.integers(0, 1000), min_size=len(bounds), max_size=len(bounds)))
    counts = tuple(float(sum(steps[: n + 1])) for n in range(len(steps)))
    return Histogram(bounds, counts, float(counts[-1]))


@given(histograms(), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_ascend_and_stay_inside_the_bounds(some: Histogram, one: float, other: float) -> None:
    low, high = some.quantile(min(one, other)), some.quantile(max(one, other))
    if some.count == 0:
        assert low is None
        return
    assert low is not None
    assert high is not None
    assert 0 <= low <= high * (1 + 1e-9)
    assert high <= some.bounds[-2] * (1 + 1e-9)


@given(histograms())
def test_since_nothing_is_everything(some: Histogram) -> None:
    nothing = Histogram(some.bounds, (0.0,) * len(some.bounds), 0.0)
    assert some.since(nothing) == some
    assert some.since(some) == nothing


def test_window_gives_rates_and_ratios() -> None:
    before = Metrics(
        10.0, prompt_tokens=100, generation_tokens=50, prefix_queries=100, prefix_hits=0, finished={"stop": 1}
    )
    after = Metrics(
        15.0, prompt_tokens=600, generation_tokens=150, prefix_queries=300, prefix_hits=150, finished={"stop": 3}
    )
    window = between(before, after)
    assert window is not None
    assert (window.seconds, window.prompt_tokens_per_s, window.generation_tokens_per_s) == (5.0, 100.0, 20.0)
    assert window.prefix_hit_rate == 0.75
    assert window.finished == {"stop": 2}
    # Not told is not zero.
    assert window.preemptions is None
    assert window.draft_acceptance_rate is None
    assert window.ttft is None


def test_no_prompt_meanwhile_has_no_hit_rate() -> None:
    before = Metrics(0.0, prefix_queries=5, prefix_hits=3)
    window = between(before, Metrics(1.0, prefix_queries=5, prefix_hits=3))
    assert window is not None
    assert window.prefix_hit_rate is None


def test_a_server_that_was_started_again_has_no_window() -> None:
    assert between(Metrics(0.0, generation_tokens=9), Metrics(1.0, generation_tokens=2)) is None
    assert between(Metrics(1.0), Metrics(1.0)) is None
