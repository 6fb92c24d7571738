"""Was the load generator the limit? Judged from what was seen of its event loop while it measured.

A client that is late stamps tokens late: its TTFT has its own delay in it. The limits are those within which a
calibrated server's figures came out right (scripts/bench_calibration.py): TTFT within 5 ms or 5 %, ITL within 2 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dsv4_launch.bench.point import Point
from dsv4_launch.bench.results import Client

# Share of one core that the thread of the event loop may use, and of the whole machine that all may use.
CPU_LIMIT: Final = 0.85
MACHINE_LIMIT: Final = 0.97
# How late the loop may be: so many ms, or this share of the median TTFT.
LAG_MS: Final = 5.0
LAG_SHARE: Final = 0.05
# Requests in flight, against what was asked, in a point of so many waves that its ends do not count much.
CONCURRENCY_SHARE: Final = 0.9
WAVES: Final = 4
_FEW: Final = 10


@dataclass(frozen=True, slots=True)
class Watched:
    """What a client's event loop did: CPU share of its thread, how late it was (each moment weighs the same), in ms."""

    cpu: float | None = None
    lag_mean_ms: float | None = None
    lag_p99_ms: float | None = None
    lag_max_ms: float | None = None


def watched(rows: Iterable[Mapping[str, Any]], start_s: float, end_s: float, sleep_ms: float) -> Watched:
    """Put together the watch lines between two moments (unix s). A broken line is passed over."""
    used: list[Mapping[str, Any]] = []
    for row in rows:
        moment = row.get("t")
        if isinstance(moment, int | float) and start_s <= moment <= end_s + 0.5 and isinstance(row.get("lags"), list):
            used.append(row)
    lags = sorted(float(lag) for row in used for lag in row["lags"] if isinstance(lag, int | float))
    if len(lags) < _FEW:
        return Watched()
    # Nobody can look while the loop is late: one look of 100 ms stands for as long as ten of 10 ms.
    weights = [lag + sleep_ms for lag in lags]
    whole = sum(weights)
    span_s = used[-1]["t"] - used[0]["t"]
    return Watched(
        cpu=(used[-1]["cpu"] - used[0]["cpu"]) / span_s if span_s > 0 else None,
        # The mean wait of what arrives at any moment: half of each late stretch.
        lag_mean_ms=sum(lag * lag / 2 for lag in lags) / whole,
        lag_p99_ms=_weighted(lags, weights, 0.99 * whole),
        lag_max_ms=lags[-1],
    )


def _weighted(values: Sequence[float], weights: Sequence[float], rank: float) -> float:
    seen = 0.0
    for value, weight in zip(values, weights, strict=True):
        seen += weight
        if seen >= rank:
            return value
    return values[-1]


def judge(seen: Watched, point: Point, machine_cpu: float | None = None) -> Client:
    """The client's verdict of one point, with each reason in a sentence; of a point without figures there is none."""
    if not point.completed:
        return Client()
    why: list[str] = []
    median = point.ttft.median if point.ttft and point.ttft.median else 0.0
    # The measured TTFT has the client's lateness in it: of that it may not borrow.
    limit_ms = max(LAG_MS, LAG_SHARE * max(0.0, median - (seen.lag_p99_ms or 0.0)))
    if seen.cpu is not None and seen.cpu > CPU_LIMIT:
        why.append(f"its event loop used {seen.cpu:.0%} of a core")
    if seen.lag_p99_ms is not None and seen.lag_p99_ms > limit_ms:
        digits = 0 if round(seen.lag_p99_ms) > round(limit_ms) else 2
        why.append(
            f"its event loop was {seen.lag_p99_ms:.{digits}f} ms late at p99, more than the {limit_ms:.{digits}f} ms "
            "allowed"
        )
    flying = point.in_flight
    if (
        flying is not None
        and point.completed >= WAVES * point.concurrency
        and point.failed == 0
        and flying < CONCURRENCY_SHARE * point.concurrency
    ):
        why.append(f"it had {flying:.1f} requests in flight on average, of {point.concurrency} asked for")
    known = seen.lag_p99_ms is not None
    # A busy machine alone says little: the server may be busy on the same one. It counts where the loop was not seen.
    if not known and machine_cpu is not None and machine_cpu > MACHINE_LIMIT:
        why.append(f"its machine was busy to {machine_cpu:.0%}, and its event loop was not watched")
    return Client(
        verdict="client" if why else "server" if known else "unknown",
        why=tuple(why),
        cpu=_positive(seen.cpu),
        concurrency=_positive(flying),
        lag_mean_ms=_positive(seen.lag_mean_ms),
        lag_p99_ms=_positive(seen.lag_p99_ms),
        lag_max_ms=_positive(seen.lag_max_ms),
        machine_cpu=_positive(machine_cpu),
    )


def _positive(value: float | None) -> float | None:
    return None if value is None else max(0.0, round(value, 4))
