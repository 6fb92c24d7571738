"""A point's derived figures, read from vLLM's own result JSON.

The keys are those of ``vllm bench serve --save-result --percentile-metrics ttft,tpot,itl,e2el
--metric-percentiles 50,90,95,99``; they are the same in every release from 0.20.0 to 0.33.0
(``vllm/benchmarks/serve.py``, ``calculate_metrics`` and ``benchmark``). What a release adds is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsv4_launch.bench.results import MEASURE_AGAIN, Planned, load_json
from dsv4_launch.errors import InputError

_MOST = 2**53


@dataclass(frozen=True, slots=True)
class Latency:
    """A latency over the completed requests (ITL: over all gaps), in ms; None: the file does not tell."""

    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    p99: float | None = None
    std: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One measured point. Throughputs are per second over ``duration_s``; goodput is requests per second in the SLO.

    The latencies are None where no request was completed, or none had a second token (tpot, itl).
    ``concurrency`` is the asked one.
    """

    key: str
    concurrency: int
    repeat: int
    completed: int
    failed: int
    duration_s: float
    input_tokens: int
    output_tokens: int
    request_throughput: float
    input_throughput: float
    output_throughput: float
    total_throughput: float
    ttft: Latency | None = None
    tpot: Latency | None = None
    itl: Latency | None = None
    e2e: Latency | None = None
    goodput: float | None = None
    detailed: bool = False

    @property
    def requests(self) -> int:
        """Requests that were sent, warm-up not counted."""
        return self.completed + self.failed

    @property
    def error_rate(self) -> float:
        """Share of the requests that failed."""
        return self.failed / self.requests if self.requests else 0.0

    @property
    def in_flight(self) -> float | None:
        """Mean number of completed requests in flight, by Little's law: their time in the system over the duration."""
        if self.e2e is None or self.e2e.mean is None or self.duration_s <= 0:
            return None
        return self.completed * self.e2e.mean / 1000 / self.duration_s


def read_point(planned: Planned, text: str | bytes, where: str) -> Point:
    """The figures of one of vLLM's result files. Raises InputError: not whole, or not such a file."""
    return point(planned, load_json(text, where, MEASURE_AGAIN), where)


def point(planned: Planned, data: Mapping[str, Any], where: str) -> Point:
    """The figures of one of vLLM's results. Raises InputError when it lacks what every release writes."""
    try:
        completed, failed = int(data["completed"]), int(data.get("failed", 0))
        duration_s = float(data["duration"])
        tokens_in, tokens_out = int(data["total_input_tokens"]), int(data["total_output_tokens"])
        if not (0 <= duration_s < _MOST and all(0 <= n < _MOST for n in (completed, failed, tokens_in, tokens_out))):
            raise ValueError("its counts are none that a measurement can have")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        missing = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"This is no result of `vllm bench serve`: {missing}.", where=where, code="bench-result"
        ) from None

    def rate(amount: float) -> float:
        return amount / duration_s if duration_s > 0 else 0.0

    some = completed > 0
    more = some and tokens_out > completed
    goodput = data.get("request_goodput")
    return Point(
        key=planned.key,
        concurrency=planned.concurrency,
        repeat=planned.repeat,
        completed=completed,
        failed=failed,
        duration_s=duration_s,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        request_throughput=rate(completed),
        input_throughput=rate(tokens_in),
        output_throughput=rate(tokens_out),
        total_throughput=rate(tokens_in + tokens_out),
        ttft=_latency(data, "ttft") if some else None,
        tpot=_latency(data, "tpot") if more else None,
        itl=_latency(data, "itl") if more else None,
        e2e=_latency(data, "e2el") if some else None,
        goodput=_number(goodput) if some else None,
        detailed="itls" in data,
    )


def _latency(data: Mapping[str, Any], name: str) -> Latency | None:
    found = Latency(
        mean=_number(data.get(f"mean_{name}_ms")),
        median=_number(data.get(f"median_{name}_ms")),
        p95=_number(data.get(f"p95_{name}_ms")),
        p99=_number(data.get(f"p99_{name}_ms")),
        std=_number(data.get(f"std_{name}_ms")),
    )
    return None if found == Latency() else found


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # A number that no measurement can be is not told; an int may even be more than a float holds.
    return float(value) if -_MOST < value < _MOST else None


def error_counts(data: Mapping[str, Any], *, longest: int = 200) -> dict[str, int]:
    """How often each error was said, by its last line; {} where the result is not a detailed one."""
    counts: dict[str, int] = {}
    errors = data.get("errors")
    for error in errors if isinstance(errors, Sequence) and not isinstance(errors, str) else ():
        if isinstance(error, str) and error.strip():
            said = error.strip().splitlines()[-1].strip()[:longest]
            counts[said] = counts.get(said, 0) + 1
    return counts
