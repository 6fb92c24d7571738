"""A histogram of a server's metrics: its mean, its quantiles, and what it gained since an earlier one. Pure."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Histogram:
    """A cumulative histogram as Prometheus keeps it.

    ``bounds`` ascend and end with infinity; ``counts[i]`` observations were at most ``bounds[i]``; ``total`` is the sum
    of all observations (seconds here).
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total: float

    @property
    def count(self) -> float:
        """How many observations there are."""
        return self.counts[-1] if self.counts else 0.0

    @property
    def mean(self) -> float | None:
        """The mean of all observations; None where there is none."""
        return self.total / self.count if self.count > 0 else None

    def quantile(self, q: float) -> float | None:
        """The q-quantile (0 to 1), linear inside a bucket as Prometheus' histogram_quantile; None without observations.

        In the first bucket it starts from 0; what lies beyond the last finite bound is told as that bound.
        https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
        """
        if self.count <= 0 or not 0 <= q <= 1:
            return None
        rank = q * self.count
        place = min(bisect.bisect_left(self.counts, rank), len(self.counts) - 1)
        if math.isinf(self.bounds[place]):
            return self.bounds[place - 1] if place else None
        lower, below = (self.bounds[place - 1], self.counts[place - 1]) if place else (0.0, 0.0)
        upper, inside = self.bounds[place], self.counts[place] - below
        if place == 0 and upper <= 0:
            return upper
        return upper if inside <= 0 else lower + (upper - lower) * (rank - below) / inside

    def since(self, before: Histogram) -> Histogram | None:
        """The observations made after ``before``; None when it is not an earlier state of the same histogram."""
        if self.bounds != before.bounds:
            return None
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        ascending = all(low <= high for low, high in pairwise(counts))
        if not counts or counts[0] < 0 or not ascending:
            return None  # the server was started again meanwhile
        return Histogram(self.bounds, counts, self.total - before.total)
