"""When a sweep ends by itself, how long the rest takes, and what repeats say."""

import dataclasses
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.bench.estimate import CLIENT_S, Probe, estimate
from dsv4_launch.bench.point import Latency, Point
from dsv4_launch.bench.results import Method, Planned, Slo, Workload
from dsv4_launch.bench.stats import interval, t95
from dsv4_launch.bench.stop import seconds_left, stop
from dsv4_launch.bench.workload import plan_points


def point(concurrency: int, throughput: float, *, failed: int = 0, ttft: float = 100.0, repeat: int = 1) -> Point:
    return Point(
        key=f"c{concurrency:04d}-r{repeat}",
        concurrency=concurrency,
        repeat=repeat,
        completed=100 - failed,
        failed=failed,
        duration_s=10.0,
        input_tokens=1000,
        output_tokens=1000,
        request_throughput=throughput / 100,
        input_throughput=throughput / 2,
        output_throughput=throughput / 2,
        total_throughput=throughput,
        ttft=Latency(ttft, ttft, ttft, ttft, 0.0),
    )


GOOD = [point(1, 100), point(2, 190), point(4, 300)]


def test_without_a_rule_nothing_stops() -> None:
    assert stop(Method(), [*GOOD, point(8, 10, failed=99, ttft=1e6)]) is None


def test_failed_requests_stop() -> None:
    found = stop(Method(stop_error_rate=0.5), [*GOOD, point(8, 300, failed=51)])
    assert found is not None
    assert (found.concurrency, found.why) == (8, "at concurrency 8 51 of 100 requests failed")
    assert stop(Method(stop_error_rate=0.5), [*GOOD, point(8, 300, failed=50)]) is None


def test_a_broken_slo_stops_only_when_asked() -> None:
    late = [*GOOD, point(8, 400, ttft=600)]
    slo = Slo(ttft_ms=500)
    assert stop(Method(slo=slo), late) is None
    found = stop(Method(slo=slo, stop_on_slo=True), late)
    assert found is not None
    assert "median TTFT is 600 ms" in found.why


def test_falling_throughput_stops_within_its_own_round() -> None:
    found = stop(Method(stop_fall=0.2), [*GOOD, point(8, 200)])
    assert found is not None
    assert found.concurrency == 8
    assert stop(Method(stop_fall=0.2), [*GOOD, point(1, 90, repeat=2)]) is None


@given(st.permutations([*GOOD, point(8, 200), point(16, 10, failed=90)]))
def test_the_order_of_the_points_does_not_matter(points: list[Point]) -> None:
    found = stop(Method(stop_fall=0.2, stop_error_rate=0.5), points)
    assert found is not None
    assert found.concurrency == 8


def test_the_time_left_follows_the_nearest_measured_point() -> None:
    missing = [Planned(key="c0008-r1", concurrency=8, repeat=1, num_prompts=30)]
    assert seconds_left(missing, GOOD, 5, 1) == pytest.approx(30 / 3 + 5 + 1)
    assert seconds_left(missing, [], 5, 1) is None
    assert seconds_left(missing, [dataclasses.replace(GOOD[0], request_throughput=0.0)], 5, 1) is None
    below = [Planned(key="c0001-r2", concurrency=1, repeat=2, num_prompts=30)]
    assert seconds_left(below, [GOOD[2]], 0, 0) == pytest.approx(30 / (3 / 4))


def test_the_estimate_holds_a_server_that_scales_and_one_that_is_full() -> None:
    points = plan_points(
        Workload(requests_per_concurrency=10), Method(rest_s=1, warmup_per_concurrency=0), (1, 16, 256)
    )
    full = [Probe(1, 0.1, 0.01), Probe(16, 1.6, 0.16)]
    found = estimate(points, Workload(), Method(rest_s=1), full)
    one_s = 0.1 + 1023 * 0.01
    assert found.points[0][1] == pytest.approx(10 * one_s + CLIENT_S)
    assert found.points[2][2] == pytest.approx(2560 * one_s + CLIENT_S)
    assert found.points[2][1] == pytest.approx(160 * one_s + CLIENT_S)
    assert found.low_s < found.high_s


@given(
    st.floats(0.01, 2), st.floats(0.001, 0.2), st.floats(1, 30), st.lists(st.integers(1, 2000), min_size=1, max_size=6)
)
def test_an_estimate_is_a_range(ttft: float, itl: float, slower: float, concurrencies: list[int]) -> None:
    points = plan_points(Workload(requests_per_concurrency=10), Method(), concurrencies)
    found = estimate(points, Workload(), Method(), [Probe(1, ttft, itl), Probe(16, ttft * slower, itl * slower)])
    assert 0 < found.low_s <= found.high_s
    assert all(low <= high for _, low, high in found.points)


def test_an_estimate_needs_a_probe() -> None:
    with pytest.raises(ValueError, match="probe"):
        estimate((), Workload(), Method(), [])


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.706), (4, 2.776), (29, 2.045), (30, 2.042)])
def test_students_t_is_the_tables(freedom: int, t: float) -> None:
    assert t95(freedom) == t


def test_students_t_falls_to_the_normal_distribution() -> None:
    values = [t95(freedom) for freedom in range(1, 400)]
    assert values == sorted(values, reverse=True)
    assert 1.96 < t95(10_000) < 1.961
    with pytest.raises(ValueError, match="two values"):
        t95(0)


def test_an_interval_is_the_textbooks() -> None:
    values = [9.0, 10.0, 11.0]
    found = interval(values)
    assert found is not None
    assert found.mean == 10
    assert found.half == pytest.approx(4.303 * statistics.stdev(values) / 3**0.5)
    assert interval([5.0]).half is None  # type: ignore[union-attr]
    assert interval([]) is None
