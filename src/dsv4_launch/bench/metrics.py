"""The figures of a sample by name: what they are, in which unit, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from dsv4_launch.bench.point import Latency, Point
from dsv4_launch.bench.results import Side
from dsv4_launch.bench.series import Sample

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure: ``read`` gives None where the sample does not tell. ``better`` "": neither way."""

    key: str
    title: str
    unit: str
    better: Better
    read: Callable[[Sample], float | None]


_LATENCIES = {
    "ttft": "time to first token",
    "itl": "inter-token latency",
    "tpot": "time per output token",
    "e2e": "end-to-end latency",
}
_PARTS = {"mean": "mean", "p50": "median", "p95": "95th percentile", "p99": "99th percentile"}


def _latency(name: str, part: str) -> Metric:
    attribute = "median" if part == "p50" else part

    def read(sample: Sample) -> float | None:
        latency: Latency | None = getattr(sample.point, name) if sample.point else None
        value: float | None = getattr(latency, attribute) if latency else None
        return value

    return Metric(f"{name}_{part}", f"{_LATENCIES[name]}, {_PARTS[part]}", "ms", "lower", read)


def _of_point(key: str, title: str, unit: str, better: Better, read: Callable[[Point], float | None]) -> Metric:
    return Metric(key, title, unit, better, lambda sample: read(sample.point) if sample.point else None)


def _of_side(key: str, title: str, unit: str, better: Better, read: Callable[[Side], float | None]) -> Metric:
    return Metric(key, title, unit, better, lambda sample: read(sample.side) if sample.side else None)


def _server(key: str, title: str, unit: str, better: Better, name: str) -> Metric:
    return _of_side(key, title, unit, better, lambda side: getattr(side.server, name) if side.server else None)


def _power(side: Side) -> float | None:
    watts = [gpu.power_mean_w for gpu in side.gpus if gpu.power_mean_w is not None]
    return sum(watts) if watts and len(watts) == len(side.gpus) else None


def _lowest_clock(side: Side) -> float | None:
    return min((gpu.sm_clock_min_mhz for gpu in side.gpus if gpu.sm_clock_min_mhz is not None), default=None)


_ALL = (
    *(_latency(name, part) for name in _LATENCIES for part in _PARTS),
    _of_point(
        "output_throughput", "output tokens per second", "tok/s", "higher", lambda p: p.output_throughput or None
    ),
    _of_point("input_throughput", "input tokens per second", "tok/s", "higher", lambda p: p.input_throughput or None),
    _of_point(
        "total_throughput",
        "input and output tokens per second",
        "tok/s",
        "higher",
        lambda p: p.total_throughput or None,
    ),
    _of_point("request_throughput", "requests per second", "req/s", "higher", lambda p: p.request_throughput or None),
    _of_point("goodput", "requests per second within the SLO", "req/s", "higher", lambda p: p.goodput),
    _of_point("completed", "completed requests", "", "", lambda p: float(p.completed) if p.duration_s else None),
    _of_point("failed", "failed requests", "", "lower", lambda p: float(p.failed) if p.duration_s else None),
    _of_point("error_rate", "share of failed requests", "", "lower", lambda p: p.error_rate if p.duration_s else None),
    _of_point("in_flight", "requests in flight, mean (client)", "", "", lambda p: p.in_flight),
    _of_point("duration", "duration", "s", "", lambda p: p.duration_s if p.duration_s else None),
    _server("server_ttft_mean", "time to first token by the server, mean", "ms", "lower", "ttft_mean_ms"),
    _server("server_itl_mean", "inter-token latency by the server, mean", "ms", "lower", "itl_mean_ms"),
    _server("server_queue_mean", "time in the server's queue, mean", "ms", "lower", "queue_mean_ms"),
    _server("running_mean", "requests running on the server, mean", "", "", "running_mean"),
    _server("running_max", "requests running on the server, most", "", "", "running_max"),
    _server("waiting_mean", "requests waiting on the server, mean", "", "lower", "waiting_mean"),
    _server("waiting_max", "requests waiting on the server, most", "", "lower", "waiting_max"),
    _server("kv_usage_mean", "KV cache in use, mean share", "", "", "kv_usage_mean"),
    _server("kv_usage_max", "KV cache in use, highest share", "", "", "kv_usage_max"),
    _server("preemptions", "preemptions", "", "lower", "preemptions"),
    _server("prefix_hit_ratio", "prefix cache hits, share", "", "higher", "prefix_hit_ratio"),
    _of_side("gpu_power", "power of all GPUs, mean", "W", "lower", _power),
    _of_side("gpu_clock_min", "lowest SM clock of any GPU", "MHz", "", _lowest_clock),
    _of_side("client_cpu", "share of a core that the client used", "", "", lambda side: side.client.cpu),
    _of_side("client_lag_p99", "lag of the client's event loop, p99", "ms", "", lambda side: side.client.lag_p99_ms),
)
METRICS: Mapping[str, Metric] = {metric.key: metric for metric in _ALL}


def figures(sample: Sample) -> dict[str, float]:
    """Every figure that the sample has, by its metric's name."""
    found = ((key, metric.read(sample)) for key, metric in METRICS.items())
    return {key: value for key, value in found if value is not None}
