"""Other tools' files: what they measured stands under our names in our units; what is none of theirs is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsv4_launch.bench.metrics import figures
from dsv4_launch.bench.tools import files as tool_files
from dsv4_launch.errors import InputError
from dsv4_launch.run.bench.series import load, load_all


def guidellm_summary(value: float) -> dict[str, Any]:
    percentiles = {"p50": value, "p95": value * 2, "p99": value * 3}
    return {"mean": value * 1.5, "median": value, "std_dev": 1.0, "total_sum": value, "percentiles": percentiles}


def guidellm(*levels: int) -> dict[str, Any]:
    """A benchmarks.json as guidellm 0.8.1 wrote one, less what is not read; request latency is in seconds."""
    values = {
        "time_to_first_token_ms": 50.0,
        "time_per_output_token_ms": 15.4,
        "inter_token_latency_ms": 6.0,
        "request_latency": 0.4,
        "requests_per_second": 10.0,
        "output_tokens_per_second": 640.0,
        "tokens_per_second": 3200.0,
        "prompt_token_count": 2560.0,
        "output_token_count": 640.0,
    }
    metrics: dict[str, Any] = {name: {"successful": guidellm_summary(value)} for name, value in values.items()}
    for name in ("requests_per_second", "output_tokens_per_second", "tokens_per_second"):
        metrics[name]["successful"]["mean"] = values[name]
    metrics["request_totals"] = {"successful": 10, "errored": 0, "incomplete": 1, "total": 11}
    return {
        "metadata": {"version": 2, "guidellm_version": "0.8.1", "python_version": "3.11.7", "platform": "Linux"},
        "config": {},
        "benchmarks": [
            {
                "type_": "generative_benchmark",
                "config": {"run_index": 0, "strategy": {"type_": "concurrent", "worker_count": 1, "streams": level}},
                "metrics": metrics,
                "duration": 2.0,
            }
            for level in levels
        ],
        "conclusions": {},
    }


def aiperf(level: int) -> dict[str, Any]:
    """A profile_export_aiperf.json as aiperf 0.13.0 wrote one, less what is not read."""

    def metric(unit: str, value: float) -> dict[str, Any]:
        return {"unit": unit, "avg": value * 1.5, "p50": value, "p95": value * 2, "p99": value * 3, "std": 1.0}

    return {
        "schema_version": "1.4",
        "aiperf_version": "0.13.0",
        "request_latency": metric("ms", 400.0),
        "time_to_first_token": metric("ms", 50.0),
        "inter_token_latency": metric("ms", 6.0),
        "inter_chunk_latency": metric("ms", 5.0),
        "request_throughput": {"unit": "requests/sec", "avg": 10.0},
        "output_token_throughput": {"unit": "tokens/sec", "avg": 640.0},
        "total_token_throughput": {"unit": "tokens/sec", "avg": 3200.0},
        "request_count": {"unit": "requests", "avg": 10.0},
        "benchmark_duration": {"unit": "sec", "avg": 2.0},
        "input_config": {
            "models": {"items": [{"name": "a/model"}]},
            "phases": [
                {"name": "warmup", "kind": "warmup", "type": "concurrency", "concurrency": 1},
                {"name": "profiling", "kind": "profiling", "type": "concurrency", "concurrency": level},
            ],
        },
    }


def inference_perf(level: int) -> dict[str, Any]:
    """The keys of inference_perf/reportgen/base.py of 0.7.0 that are read; latencies are in seconds."""

    def latency(value: float) -> dict[str, float]:
        return {"mean": value * 1.5, "min": 0.0, "max": 9.0, "median": value, "p95": value * 2, "p99": value * 3}

    return {
        "load_summary": {"count": 10, "requested_rate": 1.0, "achieved_rate": 1.0, "concurrency": level},
        "successes": {
            "count": 10,
            "latency": {
                "request_latency": latency(0.4),
                "time_to_first_token": latency(0.05),
                "time_per_output_token": latency(0.006),
                "inter_token_latency": latency(0.005),
            },
            "throughput": {
                "requests_per_sec": 10.0,
                "output_tokens_per_sec": 640.0,
                "total_tokens_per_sec": 3200.0,
            },
        },
        "failures": {"count": 0},
    }


SAME = {
    "ttft_p50": 50.0, "ttft_mean": 75.0, "ttft_p95": 100.0, "ttft_p99": 150.0, "tpot_p50": 6.0, "e2e_p50": 400.0,
    "request_throughput": 10.0, "output_throughput": 640.0, "total_throughput": 3200.0, "input_throughput": 2560.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "data", [guidellm(8), aiperf(8), inference_perf(8)], ids=["guidellm", "aiperf", "inference-perf"]
)
def test_what_a_tool_measured_stands_under_our_names_in_our_units(data: dict[str, Any]) -> None:
    found = tool_files.read(data, "x.json")
    (sample,) = found.samples
    assert (found.kind, sample.concurrency, sample.status) == ("tool", 8, "ok")
    known = figures(sample)
    assert {key: known[key] for key in SAME} == pytest.approx(SAME)
    # guidellm knows no single gap, but their mean: that of its value of each request, weighed by the gaps.
    assert known["itl_mean"] == pytest.approx(9.0 if "benchmarks" in data else 7.5)
    assert ("itl_p50" in known) == ("benchmarks" not in data)


def test_failed_requests_are_told() -> None:
    data = aiperf(4)
    data["error_request_count"] = {"unit": "requests", "avg": 3.0}
    (sample,) = tool_files.read(data, "x.json").samples
    assert (sample.status, sample.why) == ("some requests failed", "3 of 13 requests failed.")


def test_a_total_without_the_prompts_is_no_total() -> None:
    data = guidellm(8)
    metrics = data["benchmarks"][0]["metrics"]
    metrics["prompt_token_count"] = {"successful": guidellm_summary(0.0)}  # of a server that does not count them
    metrics["tokens_per_second"] = metrics["output_tokens_per_second"]
    known = figures(tool_files.read(data, "x.json").samples[0])
    assert known["output_throughput"] == 640.0
    assert "total_throughput" not in known


def test_a_folder_of_files_is_one_series_and_equal_levels_are_repeats(tmp_path: Path) -> None:
    for number, level in enumerate((1, 4, 4)):
        (tmp_path / f"c{number}").mkdir()
        (tmp_path / f"c{number}" / "profile_export_aiperf.json").write_text(json.dumps(aiperf(level)))
    (found,) = load(tmp_path)
    assert [(sample.concurrency, sample.repeat) for sample in found.samples] == [(1, 1), (4, 1), (4, 2)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "No load generator that is known"),
        ("", "It is empty"),
        ("[1]", "no JSON object"),
        (json.dumps(guidellm(8))[:-40], "not whole JSON"),
        (json.dumps(guidellm()), "no measurement"),
        (json.dumps(guidellm(8)).replace('"streams": 8', '"streams": null'), "fixed concurrency"),
        (json.dumps(aiperf(0)), "fixed concurrency"),
        (json.dumps(inference_perf(8)).replace('"concurrency": 8', '"x": 8'), "fixed concurrency"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError) as found:
        load(tmp_path / "x.json")
    assert said in str(found.value)
    assert str(tmp_path) in found.value.problems[0].where


def test_all_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as found:
        load_all([str(tmp_path), str(tmp_path / "absent")])
    assert [problem.message for problem in found.value.problems] == [
        "It holds no run and no results.",
        "There is no such file or directory.",
    ]
    assert all("guidellm" in problem.fix for problem in found.value.problems)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from([guidellm, aiperf, inference_perf]), st.data())
def test_no_odd_value_breaks_a_reader(make: Any, data: st.DataObject) -> None:
    whole = make(8)
    node: Any = whole
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        deeper = isinstance(node[key], dict | list) and len(node[key]) and data.draw(st.booleans())
        if not deeper:
            node[key] = data.draw(ANY)
            break
        node = node[key]
    try:
        found = tool_files.read(whole, "x.json")
    except InputError:
        return
    for sample in found.samples:
        figures(sample)


RECORDED = Path(__file__).parents[3] / "recorded" / "load_generators"


def test_files_that_inference_perf_wrote_are_read_as_they_say() -> None:
    # Written by inference-perf 0.7.0 on a busy machine: against a server that sends the first token after 50 ms.
    (found,) = load(RECORDED / "inference-perf")
    files = sorted((RECORDED / "inference-perf").glob("stage_*.json"))
    for sample, path in zip(found.samples, files, strict=True):
        raw, known = json.loads(path.read_text()), figures(sample)
        assert sample.concurrency == raw["load_summary"]["concurrency"]
        assert known["completed"] == raw["successes"]["count"]
        assert known["ttft_p50"] == pytest.approx(raw["successes"]["latency"]["time_to_first_token"]["median"] * 1000)
        assert known["itl_p99"] == pytest.approx(raw["successes"]["latency"]["inter_token_latency"]["p99"] * 1000)
        assert known["ttft_p50"] >= 50
        both = known["output_throughput"] + known["input_throughput"]
        assert known["total_throughput"] == pytest.approx(both)
