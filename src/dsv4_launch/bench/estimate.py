"""How long a sweep will take, as a range: what two short probes showed, carried on to what they did not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dsv4_launch.bench.results import Method, Planned, Workload

# From a client's start to its first request: it imports vLLM and makes its prompts.
CLIENT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What a few short requests at once showed, in seconds."""

    concurrency: int
    ttft_s: float
    itl_s: float

    def request_s(self, output_len: int) -> float:
        """How long a request of the workload would take at this concurrency."""
        return self.ttft_s + max(0, output_len - 1) * self.itl_s


@dataclass(frozen=True, slots=True)
class Estimate:
    """The shortest and the longest time that a sweep is likely to take, and the same of each point, in seconds."""

    low_s: float
    high_s: float
    points: tuple[tuple[str, float, float], ...]


def estimate(planned: Iterable[Planned], workload: Workload, method: Method, probes: Sequence[Probe]) -> Estimate:
    """Beyond the highest probe the server scales on as before at best, and gains nothing more at worst.

    Raises ValueError without a probe.
    """
    if not probes:
        raise ValueError("at least one probe is needed")
    known = sorted(probes, key=lambda probe: probe.concurrency)
    length = workload.output_len or 256
    points = []
    for point in planned:
        count = point.num_prompts + point.warmups
        times = sorted(count / rate + CLIENT_S for rate in _rates(known, length, point.concurrency))
        points.append((point.key, times[0], times[-1]))
    rests_s = method.rest_s * max(0, len(points) - 1)
    return Estimate(sum(p[1] for p in points) + rests_s, sum(p[2] for p in points) + rests_s, tuple(points))


def _rates(known: Sequence[Probe], length: int, concurrency: int) -> tuple[float, float]:
    """Requests per second at a concurrency: the highest and the lowest that may be."""
    low = max((p for p in known if p.concurrency <= concurrency), default=known[0], key=lambda p: p.concurrency)
    high = min((p for p in known if p.concurrency >= concurrency), default=known[-1], key=lambda p: p.concurrency)
    slow, fast = low.concurrency / low.request_s(length), high.concurrency / high.request_s(length)
    if concurrency >= known[-1].concurrency:
        return fast * concurrency / high.concurrency, fast
    return concurrency / low.request_s(length), min(slow, fast)
