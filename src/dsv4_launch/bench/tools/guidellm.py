"""guidellm's benchmarks.json: one benchmark a concurrency (``guidellm/benchmark/schemas``, read in 0.8.1).

Its statistics stand under ``successful``; request latency is in seconds, token latencies in ms. Its ITL is one value a
request, (last token - first token) / (tokens - 1), weighed by its gaps: what vLLM calls TPOT, and its mean is that of
vLLM's ITL. What it calls time per output token has the wait for the first token in it, and is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.bench.series import Sample, Series
from dsv4_launch.bench.tools.values import at, concurrency, latency, number, tool_sample

_PARTS = {
    "mean": ("mean",),
    "median": ("median",),
    "p95": ("percentiles", "p95"),
    "p99": ("percentiles", "p99"),
    "std": ("std_dev",),
}
_LATENCIES = {
    "ttft": ("time_to_first_token_ms", 1.0),
    "tpot": ("inter_token_latency_ms", 1.0),
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


NOTE = "guidellm's ITL is one value a request: it stands under TPOT; of the gaps between tokens only the mean is known."


def _sample(one: object, where: str) -> Sample:
    strategy = at(one, "config", "strategy")
    level = concurrency(1 if at(strategy, "type_") == "synchronous" else at(strategy, "streams"), where)
    metrics = at(one, "metrics")
    latencies = {
        name: latency(at(metrics, key, "successful"), _PARTS, scale) for name, (key, scale) in _LATENCIES.items()
    }
    latencies["itl"] = latency(at(metrics, "inter_token_latency_ms", "successful"), {"mean": ("mean",)})
    totals = at(metrics, "request_totals")
    rates = [
        number(metrics, name, "successful", "mean")
        for name in ("requests_per_second", "output_tokens_per_second", "tokens_per_second")
    ]
    tokens = [number(metrics, name, "successful", "total_sum") for name in ("prompt_token_count", "output_token_count")]
    # A server that does not say how long a prompt was: then its total is that of the output.
    total = rates[2] if tokens[0] else None
    return tool_sample(
        level,
        (number(totals, "successful"), number(totals, "errored"), number(one, "duration")),
        (rates[0], rates[1], total),
        latencies,
        number(metrics, "request_goodput", "successful", "mean"),
        (tokens[0], tokens[1]),
    )
