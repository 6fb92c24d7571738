"""Samples of a series brought together by concurrency: the repeats of a point become one level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from dsv4_launch.bench.metrics import figures
from dsv4_launch.bench.series import Sample, Series, Status, worst


@dataclass(frozen=True, slots=True)
class Level:
    """All repeats at one concurrency. ``repeats`` holds each figure of each repeat that has it, in their order.

    A failed repeat adds no figures; ``status`` is the worst among the repeats.
    """

    concurrency: int
    status: Status
    why: str
    samples: tuple[Sample, ...]
    repeats: Mapping[str, tuple[float, ...]]

    def figure(self, key: str) -> float | None:
        """The mean of a figure over the repeats; None where none has it."""
        values = self.repeats.get(key)
        return fmean(values) if values else None

    def middle(self, name: str) -> float | None:
        """The median of a latency, or its mean where only that is known (published figures)."""
        return self.figure(f"{name}_mean") if f"{name}_p50" not in self.repeats else self.figure(f"{name}_p50")


def levels(series: Series) -> tuple[Level, ...]:
    """The levels of a series by rising concurrency."""
    by_concurrency: dict[int, list[Sample]] = {}
    for sample in series.samples:
        by_concurrency.setdefault(sample.concurrency, []).append(sample)
    return tuple(_level(concurrency, tuple(by_concurrency[concurrency])) for concurrency in sorted(by_concurrency))


def _level(concurrency: int, samples: tuple[Sample, ...]) -> Level:
    rows = [figures(sample) for sample in samples if sample.status != "failed"]
    keys = dict.fromkeys(key for row in rows for key in row)
    repeats = {key: tuple(row[key] for row in rows if key in row) for key in keys}
    status = worst(sample.status for sample in samples)
    why = next((sample.why for sample in samples if sample.status == status), "")
    return Level(concurrency, status, why, samples, repeats)
