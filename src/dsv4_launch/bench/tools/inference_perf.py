"""inference-perf's stage_N_lifecycle_metrics.json: one stage a file (``inference_perf/reportgen/base.py`` of 0.7.0).

Latencies are in seconds. The concurrency stands in the file of a stage only; the summary over all stages has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.bench.series import Series
from dsv4_launch.bench.tools.values import at, concurrency, latency, number, tool_sample

_PARTS = {"mean": ("mean",), "median": ("median",), "p95": ("p95",), "p99": ("p99",)}
_LATENCIES = {
    "ttft": "time_to_first_token",
    "tpot": "time_per_output_token",
    "itl": "inter_token_latency",
    "e2e": "request_latency",
}


def knows(data: Mapping[str, Any]) -> bool:
    """Whether this is such a file."""
    return all(isinstance(data.get(key), Mapping) for key in ("load_summary", "successes", "failures"))


def read(data: Mapping[str, Any], where: str) -> Series:
    """Its series, of one sample. Raises InputError when the stage had no fixed concurrency."""
    level = concurrency(at(data, "load_summary", "concurrency"), where)
    good = data["successes"]
    latencies = {name: latency(at(good, "latency", key), _PARTS, 1000.0) for name, key in _LATENCIES.items()}
    rates = at(good, "throughput")
    requests = number(rates, "requests_per_sec")
    completed = number(good, "count")
    one = tool_sample(
        level,
        (completed, number(data, "failures", "count"), completed / requests if completed and requests else None),
        (requests, number(rates, "output_tokens_per_sec"), number(rates, "total_tokens_per_sec")),
        latencies,
        number(good, "goodput_metrics", "request_goodput"),
    )
    return Series("inference-perf", "tool", (one,), facts={"load generator": "inference-perf"})
