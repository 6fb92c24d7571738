"""What `--fail-on` says: ``METRIC[@CONCURRENCY[..CONCURRENCY]] < or > [+ or -]NUMBER[UNIT]``.

    ttft_p95>+5%            the 95th percentile of TTFT is more than 5 % over the baseline's
    output_throughput<-3%   output tokens per second are more than 3 % under the baseline's
    itl_p50>+2ms@8..64      the same in the metric's unit, at concurrencies 8 to 64
    error_rate>0.01         a bound without a sign is the value itself, whatever the baseline's is

A bound with a sign is a change against the baseline, so a percentage needs one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dsv4_launch.bench.metrics import METRICS, Metric
from dsv4_launch.errors import UsageError
from dsv4_launch.values import nearest

_SHAPE = re.compile(
    r"(?P<metric>[a-z0-9_]+)\s*(?P<op>[<>])\s*(?P<sign>[+-]?)(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%|[a-zA-Z/]*)"
    r"\s*(?:@\s*(?P<low>\d+)(?:\s*\.\.\s*(?P<high>\d+))?)?"
)
_EXAMPLE = "As in 'ttft_p95>+5%', 'output_throughput<-3%', 'itl_p50>+2ms@8..64' or 'error_rate>0.01'."


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound that must not be crossed. ``kind``: a share of the baseline, a change in the unit, or the value."""

    text: str
    metric: Metric
    over: bool
    kind: Literal["percent", "change", "value"]
    bound: float
    low: int = 0
    high: int = 2**31

    def applies(self, concurrency: int) -> bool:
        """Whether it looks at this concurrency."""
        return self.low <= concurrency <= self.high

    def measured(self, before: float | None, after: float) -> float | None:
        """What is held against the bound; None where there is no baseline to hold it against."""
        if self.kind == "value":
            return after
        if before is None:
            return None
        if self.kind == "change":
            return after - before
        return None if before == 0 else 100 * (after - before) / before

    def crossed(self, measured: float) -> bool:
        """Whether that is over (or under) the bound."""
        return measured > self.bound if self.over else measured < self.bound


def parse_gate(text: str) -> Gate:
    """A gate from its words. Raises UsageError that says what is wrong with them."""
    words = text.strip()
    found = _SHAPE.fullmatch(words)
    if found is None:
        raise _wrong(text, _reason(words))
    metric = METRICS.get(found["metric"])
    if metric is None:
        meant = nearest(found["metric"], METRICS)
        raise _wrong(text, f"{found['metric']!r} is no metric{f'; {meant!r} is' if meant else ''}")
    unit, sign = found["unit"], found["sign"]
    if unit not in ("", "%", metric.unit):
        known = f"{metric.unit!r} or '%'" if metric.unit else "'%' or none"
        raise _wrong(text, f"{metric.key} has no unit {unit!r}: it is {known}")
    if unit == "%" and not sign:
        raise _wrong(
            text,
            f"a percentage is a change: write {found['op']}+{found['number']}% or {found['op']}-{found['number']}%",
        )
    low = int(found["low"]) if found["low"] else 0
    high = int(found["high"]) if found["high"] else low or 2**31
    if high < low:
        raise _wrong(text, f"no concurrency is in {low}..{high}")
    number = float(found["number"]) * (-1 if sign == "-" else 1)
    kind: Literal["percent", "change", "value"] = "percent" if unit == "%" else "change" if sign else "value"
    return Gate(words, metric, found["op"] == ">", kind, number, low, high)


def _reason(words: str) -> str:
    if not words:
        return "it is empty"
    if not re.search("[<>]", words):
        return "it has no '<' or '>'"
    if re.search("[<>]=", words):
        return "'<=' and '>=' are not known: '<' and '>' are"
    metric, _, bound = re.split("([<>])", words, maxsplit=1)
    if not re.fullmatch(r"\s*[a-z0-9_]+\s*", metric):
        return f"{metric.strip()!r} is no metric's name" if metric.strip() else "it names no metric"
    return f"{bound.strip()!r} is no bound" if bound.strip() else "it has no bound"


def _wrong(text: str, reason: str) -> UsageError:
    return UsageError(f"--fail-on {text!r}: {reason}.", where="--fail-on", fix=_EXAMPLE)
