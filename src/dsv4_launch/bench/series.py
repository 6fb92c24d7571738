"""What a report draws: series of samples, from a run of ours, another tool's file or somebody's published figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from dsv4_launch.bench.point import Point
from dsv4_launch.bench.results import Run, Side
from dsv4_launch.values import counted

Kind = Literal["run", "tool", "reference"]
Status = Literal["ok", "client-limited", "some requests failed", "failed"]
MANY = 4  # from so many series on, bands and labels in a chart would hide one another
# The worse one speaks for several.
STATUSES: tuple[Status, ...] = ("ok", "client-limited", "some requests failed", "failed")


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement at one concurrency. ``point`` None: nothing came of it. ``why`` says what its status means."""

    concurrency: int
    repeat: int
    status: Status
    why: str = ""
    point: Point | None = None
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one server under one workload.

    ``facts`` is what must stand beside the numbers (config, fingerprint), as a person reads it. ``gpus`` 0: not known.
    ``run`` is there for runs of ours only; ``source`` is where published figures stand.
    """

    label: str
    kind: Kind
    samples: tuple[Sample, ...]
    gpus: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    run: Run | None = None
    source: str = ""
    notes: tuple[str, ...] = ()


def sample(concurrency: int, repeat: int, point: Point | None, side: Side | None) -> Sample:
    """One measurement, judged: failed, spoiled by errors, limited by the client, or good."""
    status: Status
    if point is None or point.completed == 0 or (side is not None and side.status != "ok"):
        why = (side.why if side else "") or ("No request was completed." if point else "It has no result.")
        kept = point if point is not None and point.completed else None
        return Sample(concurrency, repeat, "failed", why, kept, side)
    if point.failed:
        status, why = "some requests failed", f"{point.failed} of {counted(point.requests, 'request')} failed."
    elif side is not None and side.client.verdict == "client":
        status, why = "client-limited", "; ".join(side.client.why) or "The load generator was the limit."
    else:
        status, why = "ok", ""
    return Sample(concurrency, repeat, status, why, point, side)


def worst(statuses: Iterable[Status]) -> Status:
    """The status that stands for several repeats."""
    return max(statuses, key=STATUSES.index, default="failed")


def with_own_labels(series: Iterable[Series]) -> tuple[Series, ...]:
    """The series with labels that tell them apart: an equal one gets a number."""
    taken: set[str] = set()
    told = []
    for one in series:
        label, number = one.label or "run", 1
        while label in taken:
            number += 1
            label = f"{one.label or 'run'} #{number}"
        taken.add(label)
        told.append(replace(one, label=label))
    return tuple(told)
