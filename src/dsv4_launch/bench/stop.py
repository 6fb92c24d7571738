"""When a sweep has seen enough, and how long the rest of it will take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsv4_launch.bench.point import Point
from dsv4_launch.bench.results import Method, Planned, Slo
from dsv4_launch.values import counted


@dataclass(frozen=True, slots=True)
class Stop:
    """No point of a higher concurrency than this is measured any more, and why."""

    concurrency: int
    why: str


def stop(method: Method, points: Iterable[Point]) -> Stop | None:
    """The strictest stop that the measured points call for; the same points always give the same answer."""
    found: Stop | None = None
    best: dict[int, float] = {}
    for point in sorted(points, key=lambda p: (p.repeat, p.concurrency)):
        why = _why(method, point, best.get(point.repeat, 0.0))
        if why and (found is None or point.concurrency < found.concurrency):
            found = Stop(point.concurrency, f"at concurrency {point.concurrency} {why}")
        best[point.repeat] = max(best.get(point.repeat, 0.0), point.total_throughput)
    return found


def _why(method: Method, point: Point, best: float) -> str:
    if method.stop_error_rate and point.error_rate > method.stop_error_rate:
        return f"{point.failed} of {counted(point.requests, 'request')} failed"
    if method.stop_on_slo and (broken := broken_slo(method.slo, point)):
        return broken
    if method.stop_fall and point.total_throughput < (1 - method.stop_fall) * best:
        return f"the throughput fell to {point.total_throughput:.0f} tokens/s from {best:.0f}"
    return ""


def broken_slo(slo: Slo, point: Point) -> str:
    """Which median is over its limit ("" for none)."""
    for name, limit, latency in (
        ("TTFT", slo.ttft_ms, point.ttft),
        ("TPOT", slo.tpot_ms, point.tpot),
        ("E2E", slo.e2e_ms, point.e2e),
    ):
        if limit and latency is not None and latency.median is not None and latency.median > limit:
            return f"the median {name} is {latency.median:.0f} ms, over the {limit:g} ms of the SLO"
    return ""


def seconds_left(missing: Sequence[Planned], points: Sequence[Point], overhead_s: float, rest_s: float) -> float | None:
    """How long the missing points will take, by the throughput of the nearest measured concurrency; None: unknown.

    Beyond the highest measured one no further gain is counted on, and below the lowest one a proportional loss.
    """
    done = sorted((p for p in points if p.request_throughput > 0), key=lambda p: p.concurrency)
    if not done:
        return None
    total = 0.0
    for planned in missing:
        near = max((p for p in done if p.concurrency <= planned.concurrency), default=None, key=lambda p: p.concurrency)
        rate = (
            near.request_throughput
            if near is not None
            else done[0].request_throughput * planned.concurrency / done[0].concurrency
        )
        total += (planned.num_prompts + planned.warmups) / rate + overhead_s + rest_s
    return total
