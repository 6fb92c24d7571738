"""Figures of a point are those of vLLM's own result, and never numbers where nothing was measured."""

import json
from pathlib import Path

import pytest

from dsv4_launch.bench.point import Latency, error_counts, point, read_point
from dsv4_launch.bench.results import Planned
from dsv4_launch.errors import InputError

RECORDED = Path(__file__).parents[2] / "recorded" / "bench"
PLANNED = Planned(key="c0004-r1", concurrency=4, repeat=1, num_prompts=24)
RESULT = (RECORDED / "a" / "points" / "c0004-r1.json").read_text()


def test_throughputs_follow_from_the_raw_counts() -> None:
    raw = json.loads(RESULT)
    found = read_point(PLANNED, RESULT, "x")
    assert (found.completed, found.failed, found.concurrency) == (24, 0, 4)
    assert found.output_throughput == pytest.approx(sum(raw["output_lens"]) / raw["duration"])
    assert found.total_throughput == pytest.approx(raw["total_token_throughput"])
    assert found.total_throughput == pytest.approx(found.input_throughput + found.output_throughput)
    assert found.request_throughput == pytest.approx(raw["request_throughput"])
    assert found.detailed


def test_latencies_follow_from_the_raw_times() -> None:
    raw = json.loads(RESULT)
    found = read_point(PLANNED, RESULT, "x")
    ttfts = sorted(raw["ttfts"])
    assert found.ttft is not None
    assert found.itl is not None
    assert found.ttft.mean == pytest.approx(1000 * sum(ttfts) / len(ttfts))
    assert found.ttft.median == pytest.approx(1000 * (ttfts[11] + ttfts[12]) / 2)
    gaps = [gap for request in raw["itls"] for gap in request]
    assert found.itl.mean == pytest.approx(1000 * sum(gaps) / len(gaps))


def test_requests_in_flight_are_those_that_were_asked_for() -> None:
    found = read_point(PLANNED, RESULT, "x")
    assert found.in_flight == pytest.approx(4, rel=0.05)


def test_without_a_completed_request_there_is_no_latency() -> None:
    raw = json.loads(RESULT) | {"completed": 0, "failed": 24, "total_input_tokens": 0, "total_output_tokens": 0}
    found = point(PLANNED, raw, "x")
    assert found.ttft is found.tpot is found.itl is found.e2e is found.goodput is found.in_flight is None
    assert found.error_rate == 1
    assert found.total_throughput == 0


def test_no_duration_divides_nothing() -> None:
    found = point(PLANNED, json.loads(RESULT) | {"duration": 0.0}, "x")
    assert found.total_throughput == 0
    assert found.in_flight is None


def test_one_token_answers_have_no_time_per_token() -> None:
    found = point(PLANNED, json.loads(RESULT) | {"total_output_tokens": 24}, "x")
    assert found.tpot is found.itl is None
    assert found.ttft is not None


def test_a_figure_that_is_no_number_is_unknown() -> None:
    raw = json.loads(RESULT) | {"mean_ttft_ms": float("nan"), "p99_ttft_ms": "9", "median_ttft_ms": True}
    found = point(PLANNED, raw, "x")
    assert isinstance(found.ttft, Latency)
    assert found.ttft.mean is found.ttft.p99 is found.ttft.median is None


@pytest.mark.parametrize("key", ["completed", "duration", "total_input_tokens", "total_output_tokens"])
def test_a_file_of_something_else_is_refused(key: str) -> None:
    raw = json.loads(RESULT)
    del raw[key]
    with pytest.raises(InputError, match="no result of"):
        point(PLANNED, raw, "x")


def test_errors_are_counted_by_what_they_said() -> None:
    trace = "Traceback (most recent call last):\n  File x\naiohttp.ClientError: gone\n"
    assert error_counts({"errors": ["", trace, trace, "Bad Request"]}) == {
        "aiohttp.ClientError: gone": 2,
        "Bad Request": 1,
    }
    assert error_counts({}) == error_counts({"errors": "text"}) == {}
