"""Two series level by level: how much every figure moved, how sure that is, and which gates it crosses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dsv4_launch.bench.gates import Gate
from dsv4_launch.bench.interval import Interval, welch
from dsv4_launch.bench.levels import Level, levels
from dsv4_launch.bench.metrics import METRICS, Metric
from dsv4_launch.bench.series import Series

Verdict = Literal["better", "worse", "within noise", "no confidence", "equal", ""]
# What a comparison shows; gates may name any other metric as well.
SHOWN = (
    "itl_p50", "itl_p95", "itl_p99", "ttft_p50", "ttft_p95", "ttft_p99", "tpot_p50", "tpot_p95", "e2e_p50", "e2e_p95",
    "output_throughput", "total_throughput", "goodput", "error_rate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delta:
    """One figure at one concurrency, before and after (means over the repeats), in the metric's unit.

    ``interval`` is that of ``after - before``; None: with one repeat nobody can tell the change from noise.
    """

    metric: str
    concurrency: int
    before: float
    after: float
    interval: Interval | None
    repeats: tuple[int, int]
    verdict: Verdict

    @property
    def percent(self) -> float | None:
        """The change as a share of the baseline."""
        return None if self.before == 0 else 100 * (self.after - self.before) / self.before


@dataclass(frozen=True, slots=True)
class Crossed:
    """A gate that was crossed at a concurrency. ``sure`` None: there are no repeats to tell."""

    gate: str
    metric: str
    concurrency: int
    before: float | None
    after: float | None
    why: str
    sure: bool | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All deltas, the crossed gates, and what could not be compared, in words."""

    deltas: tuple[Delta, ...]
    crossed: tuple[Crossed, ...]
    notes: tuple[str, ...]


def compare(before: Series, after: Series, gates: Iterable[Gate] = ()) -> Comparison:
    """Compare two series at every concurrency that both have."""
    old, new = ({level.concurrency: level for level in levels(one)} for one in (before, after))
    shared = [level for level in old if level in new]
    deltas = tuple(
        delta for c in shared for key in SHOWN if (delta := _delta(METRICS[key], old[c], new[c])) is not None
    )
    notes = [*_alone(before, old, new), *_alone(after, new, old)]
    if not shared:
        notes.append("The runs have no concurrency in common: nothing was compared.")
    if deltas and all(delta.interval is None for delta in deltas):
        notes.append("With one repeat there is no confidence: a change may be noise. Measure with --repeats 3 or more.")
    for series, own in ((before, old), (after, new)):
        notes += [
            f"{series.label} at concurrency {level.concurrency}: the load generator was the limit: {level.why}"
            for level in own.values()
            if level.status == "client-limited"
        ]
    crossed = []
    for gate in gates:
        held = [c for c in new if gate.applies(c)]
        crossed += [found for c in held if (found := _gate(gate, old.get(c), new[c])) is not None]
        if not any(_was_held(gate, old.get(c), new[c]) for c in held):
            crossed.append(Crossed(gate.text, gate.metric.key, 0, None, None, "No point has what it needs."))
    return Comparison(deltas, tuple(crossed), tuple(dict.fromkeys(notes)))


def _alone(series: Series, own: dict[int, Level], other: dict[int, Level]) -> list[str]:
    missing = [str(c) for c in own if c not in other]
    return [f"Only {series.label} has concurrency {', '.join(missing)}."] if missing else []


def _delta(metric: Metric, old: Level, new: Level) -> Delta | None:
    before, after = old.figure(metric.key), new.figure(metric.key)
    if before is None or after is None:
        return None
    first, second = old.repeats[metric.key], new.repeats[metric.key]
    interval = welch(first, second)
    verdict = _verdict(metric, after - before, interval)
    return Delta(metric.key, old.concurrency, before, after, interval, (len(first), len(second)), verdict)


def _verdict(metric: Metric, change: float, interval: Interval | None) -> Verdict:
    if change == 0 and (interval is None or interval.low == interval.high):
        return "equal"
    if interval is None:
        return "no confidence"
    if interval.has_zero:
        return "within noise"
    if not metric.better:
        return ""
    return "better" if (change < 0) == (metric.better == "lower") else "worse"


def _was_held(gate: Gate, old: Level | None, new: Level) -> bool:
    after, before = new.figure(gate.metric.key), old.figure(gate.metric.key) if old else None
    return new.status == "failed" or (after is not None and gate.measured(before, after) is not None)


def _gate(gate: Gate, old: Level | None, new: Level) -> Crossed | None:
    key, c = gate.metric.key, new.concurrency
    before, after = old.figure(key) if old else None, new.figure(key)
    if after is None:
        if new.status == "failed" and old is not None and old.status != "failed":
            return Crossed(gate.text, key, c, before, None, f"The point at concurrency {c} failed: {new.why}")
        return None
    measured = gate.measured(before, after)
    if measured is None or not gate.crossed(measured):
        return None
    unit = "%" if gate.kind == "percent" else f" {gate.metric.unit}".rstrip()
    sign = "" if gate.kind == "value" else "+"
    bound = f"{'over' if gate.over else 'under'} {gate.bound:{sign}g}{unit}"
    why = f"{key} at concurrency {c} is {measured:{sign}.4g}{unit}, {bound}"
    return Crossed(gate.text, key, c, before, after, f"{why}.", _sure(gate, old, new))


def _sure(gate: Gate, old: Level | None, new: Level) -> bool | None:
    """Whether the whole interval lies beyond the bound."""
    if old is None or gate.kind == "value":
        return None
    first, second = old.repeats[gate.metric.key], new.repeats[gate.metric.key]
    interval = welch(first, second)
    if interval is None:
        return None
    scale = 100 / (sum(first) / len(first)) if gate.kind == "percent" else 1.0
    nearest_end = interval.low if gate.over else interval.high
    return gate.crossed(nearest_end * scale)
