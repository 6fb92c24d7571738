"""Confidence of a difference between two sets of repeats: Welch's t-interval, and the quantile that it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

LEVEL = 0.95
_STEPS = 128  # of Simpson's rule: the integrand is smooth


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true difference lies with a confidence of `LEVEL`."""

    low: float
    high: float

    @property
    def has_zero(self) -> bool:
        """Whether no difference at all is among what the repeats allow."""
        return self.low <= 0 <= self.high


def welch(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The interval of ``mean(second) - mean(first)``; None with fewer than two repeats on either side.

    Repeats that are all equal have an interval of no width: they say that they do not vary, not that they are right.
    """
    if len(first) < 2 or len(second) < 2:
        return None
    delta = fmean(second) - fmean(first)
    parts = [variance(values) / len(values) for values in (first, second)]
    error = sum(parts)
    if error == 0:
        return Interval(delta, delta)
    freedom = error**2 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True))
    reach = t_quantile((1 + level) / 2, freedom) * math.sqrt(error)
    return Interval(delta - reach, delta + reach)


def t_quantile(probability: float, freedom: float) -> float:
    """The value below which Student's t with ``freedom`` (>= 1, may be broken) lies with ``probability`` (0.5 to 1)."""
    low, high = 0.0, math.pi / 2
    for _ in range(40):
        middle = (low + high) / 2
        if 0.5 + _below(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _below(angle: float, freedom: float) -> float:
    """The probability between 0 and ``sqrt(freedom) * tan(angle)``: with that substitution it is a smooth integral."""
    log_scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(math.pi) / 2
    step = angle / _STEPS
    values = [math.cos(step * number) ** (freedom - 1) for number in range(_STEPS + 1)]
    total = values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2])
    return float(math.exp(log_scale) * total * step / 3)
