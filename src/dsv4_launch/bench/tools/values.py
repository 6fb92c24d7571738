"""Reading another tool's JSON: a value by its path, and only if it is a finite number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.bench.point import Latency, Point
from dsv4_launch.bench.series import Sample, sample
from dsv4_launch.errors import InputError

_MOST = 2**53


def at(data: object, *path: str) -> Any:
    """What stands at a path of keys; None where there is nothing."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def number(data: object, *path: str) -> float | None:
    """The finite number at a path; None where there is none."""
    value = at(data, *path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_MOST < value < _MOST else None


def latency(data: object, names: Mapping[str, tuple[str, ...]], scale: float = 1.0) -> Latency | None:
    """A latency in ms from figures under ``names`` (our name to its path); ``scale`` turns them into ms."""
    found = {name: number(data, *path) for name, path in names.items()}
    scaled = {name: None if value is None else value * scale for name, value in found.items()}
    return Latency(**scaled) if any(value is not None for value in scaled.values()) else None


def concurrency(value: object, where: str) -> int:
    """The asked concurrency. Raises InputError when a file has none: our charts are over it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 2**31:
        raise InputError(
            "It was not measured at a fixed concurrency, which the charts are drawn over.",
            where=where,
            fix="guidellm: --profile kind=concurrent; aiperf: --concurrency; inference-perf: load.type concurrent.",
            code="bench-file",
        )
    return int(value)


def tool_sample(
    level: int,
    counts: tuple[float | None, float | None, float | None],
    rates: tuple[float | None, float | None, float | None],
    latencies: Mapping[str, Latency | None],
    goodput: float | None = None,
    tokens: tuple[float | None, float | None] = (None, None),
) -> Sample:
    """A sample of another tool.

    ``counts``: completed and failed requests, duration in s; ``rates``: requests, output tokens and all tokens per
    second; ``tokens``: input and output tokens in all.
    """
    completed, failed, duration = (value or 0.0 for value in counts)
    requests, out, total = (value or 0.0 for value in rates)
    point = Point(
        key="",
        concurrency=level,
        repeat=1,
        completed=int(completed),
        failed=int(failed),
        duration_s=duration,
        input_tokens=int(tokens[0] or 0),
        output_tokens=int(tokens[1] or 0),
        request_throughput=requests,
        input_throughput=max(0.0, total - out) if total else 0.0,
        output_throughput=out,
        total_throughput=total,
        ttft=latencies.get("ttft"),
        tpot=latencies.get("tpot"),
        itl=latencies.get("itl"),
        e2e=latencies.get("e2e"),
        goodput=goodput,
    )
    return sample(level, 1, point, None)
