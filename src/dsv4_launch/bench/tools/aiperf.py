"""aiperf's profile_export_aiperf.json: one concurrency a file (``aiperf/common/models/export_models.py`` of 0.13.0).

Each metric has its unit beside it. Its inter-token latency is one value a request, (latency - TTFT) / (tokens - 1):
what vLLM calls TPOT. Its inter-chunk latency has each gap between two pieces of a stream: what vLLM calls ITL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.bench.point import Latency
from dsv4_launch.bench.series import Series
from dsv4_launch.bench.tools.values import at, concurrency, latency, number, tool_sample

_PARTS = {"mean": ("avg",), "median": ("p50",), "p95": ("p95",), "p99": ("p99",), "std": ("std",)}
_IN_MS = {"ms": 1.0, "sec": 1000.0, "s": 1000.0, "us": 0.001, "ns": 1e-6}


def knows(data: Mapping[str, Any]) -> bool:
    """Whether this is such a file."""
    return "aiperf_version" in data or (at(data, "request_latency", "unit") is not None and "input_config" in data)


def read(data: Mapping[str, Any], where: str) -> Series:
    """Its series, of one sample. Raises InputError when it has no fixed concurrency."""
    version = str(data.get("aiperf_version") or "")[:40]
    level = concurrency(_concurrency(data), where)
    latencies = {
        "ttft": _latency(data, "time_to_first_token"),
        "tpot": _latency(data, "inter_token_latency"),
        "itl": _latency(data, "inter_chunk_latency"),
        "e2e": _latency(data, "request_latency"),
    }
    one = tool_sample(
        level,
        tuple(number(data, name, "avg") for name in ("request_count", "error_request_count", "benchmark_duration")),  # type: ignore[arg-type]
        tuple(
            number(data, name, "avg")
            for name in ("request_throughput", "output_token_throughput", "total_token_throughput")
        ),  # type: ignore[arg-type]
        latencies,
        number(data, "goodput", "avg"),
        (number(data, "total_isl", "avg"), number(data, "total_osl", "avg")),
    )
    facts = {"load generator": f"aiperf {version}".strip()}
    models = at(data, "input_config", "models", "items")
    names = [str(model["name"]) for model in models if at(model, "name")] if isinstance(models, list) else []
    if names:
        facts["model"] = ", ".join(names)[:200]
    return Series(facts["load generator"], "tool", (one,), facts=facts, notes=(NOTE,))


NOTE = "aiperf's inter-token latency is one value a request: it stands under TPOT, its inter-chunk latency under ITL."


def _latency(data: Mapping[str, Any], name: str) -> Latency | None:
    scale = _IN_MS.get(str(at(data, name, "unit")))
    return latency(data.get(name), _PARTS, scale) if scale else None


def _concurrency(data: Mapping[str, Any]) -> object:
    """The concurrency of the phase that is measured."""
    phases = at(data, "input_config", "phases")
    for phase in reversed(phases) if isinstance(phases, list) else ():
        if at(phase, "concurrency") is not None:
            return at(phase, "concurrency")
    return at(data, "input_config", "loadgen", "concurrency")
