"""Confidence intervals of repeated measurements."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Two-sided 95 % quantiles of Student's t for 1, 2, … degrees of freedom (NIST e-Handbook, 1.3.6.7.2).
_T95: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_T95_MANY: Final = 1.960


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean of repeats and half the width of its 95 % confidence interval; None for a single repeat."""

    mean: float
    half: float | None
    repeats: int


def interval(values: Sequence[float]) -> Interval | None:
    """The interval of some repeats; None for none."""
    if not values:
        return None
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, None, 1)
    return Interval(mean, t95(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values)), len(values))


def t95(freedom: int) -> float:
    """Student's t for a two-sided 95 % interval. Raises ValueError below one degree of freedom."""
    if freedom < 1:
        raise ValueError("at least two values are needed")
    return _T95[freedom - 1] if freedom <= len(_T95) else _T95_MANY + (_T95[-1] - _T95_MANY) * len(_T95) / freedom
