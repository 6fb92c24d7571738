"""guidellm's benchmarks.json: one benchmark a concurrency (``guidellm/benchmark/schemas``, read in 0.8.1).

Its statistics stand under ``successful``; request latency is in seconds, the token latencies in ms. Its ITL is a mean
for each request, vLLM's one value for each gap between tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.bench.series import Sample, Series
from dsv4_launch.bench.tool_values import at, concurrency, latency, number, tool_sample

_PARTS = {
    "mean": ("mean",),
    "median": ("median",),
    "p95": ("percentiles", "p95"),
    "p99": ("percentiles", "p99"),
    "std": ("std_dev",),
}
_LATENCIES = {
    "ttft": ("time_to_first_token_ms", 1.0),
    "tpot": ("time_per_output_token_ms", 1.0),
    "itl": ("inter_token_latency_ms", 1.0),
    "e2e": ("request_latency", 1000.0),
}


def knows(data: Mapping[str, Any]) -> bool:
    """Whether this is such a file."""
    return at(data, "metadata", "guidellm_version") is not None and isinstance(data.get("benchmarks"), list)


def read(data: Mapping[str, Any], where: str) -> Series:
    """Its series. Raises InputError for a benchmark that was not at a fixed concurrency."""
    version = str(at(data, "metadata", "guidellm_version"))[:40]
    samples = tuple(_sample(one, f"{where}: benchmarks[{number_}]") for number_, one in enumerate(data["benchmarks"]))
    facts = {"load generator": f"guidellm {version}"}
    return Series(f"guidellm {version}", "tool", samples, facts=facts, notes=(NOTE,))


NOTE = "guidellm's ITL is the mean of each request; vLLM's counts every gap between two tokens."


def _sample(one: object, where: str) -> Sample:
    strategy = at(one, "config", "strategy")
    level = concurrency(1 if at(strategy, "type_") == "synchronous" else at(strategy, "streams"), where)
    metrics = at(one, "metrics")
    latencies = {
        name: latency(at(metrics, key, "successful"), _PARTS, scale) for name, (key, scale) in _LATENCIES.items()
    }
    totals = at(metrics, "request_totals")
    rates = [
        number(metrics, name, "successful", "mean")
        for name in ("requests_per_second", "output_tokens_per_second", "tokens_per_second")
    ]
    tokens = [number(metrics, name, "successful", "total_sum") for name in ("prompt_token_count", "output_token_count")]
    return tool_sample(
        level,
        (number(totals, "successful"), number(totals, "errored"), number(one, "duration")),
        (rates[0], rates[1], rates[2]),
        latencies,
        number(metrics, "request_goodput", "successful", "mean"),
        (tokens[0], tokens[1]),
    )
