"""The rows that charts draw: one for each level of each series, plain data with short keys."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from dsv4_launch.bench.draw import labels
from dsv4_launch.bench.levels import Level, levels
from dsv4_launch.bench.series import Series

# What charts and their tooltips show, beside what is worked out here.
_SHOWN = (
    *(f"{name}_{part}" for name in ("ttft", "itl", "tpot", "e2e") for part in ("mean", "p50", "p95", "p99")),
    *("output_throughput", "total_throughput", "request_throughput", "goodput", "server_ttft_mean"),
    *("running_mean", "waiting_mean", "waiting_max", "kv_usage_mean", "kv_usage_max"),
)
_SPREAD = ("ttft", "itl", "tpot", "e2e")


def rows(series: Iterable[Series]) -> list[dict[str, Any]]:
    """Rows by series and rising concurrency. ``run`` is the label, ``c`` the concurrency, ``status`` how it went.

    ``<latency>_mid`` is the median (published figures: the mean), ``_lo`` and ``_hi`` the lowest and highest median of
    the repeats; ``ideal`` the output throughput if it grew with the concurrency from the first level on;
    ``per_gpu`` total tokens per second and GPU; ``tag`` and ``tag_log`` where a point bears its concurrency.
    """
    found = [row for one in series for row in _of(one)]
    labels.write(found, "tag", float)
    labels.write(found, "tag_log", math.log)
    return found


def _of(series: Series) -> list[dict[str, Any]]:
    found = levels(series)
    measured = (level for level in found if level.figure("output_throughput"))
    first = next(measured, None)
    made = [_row(series, level, first) for level in found]
    if len(made) == 1:
        made[0]["alone"] = True  # an area needs two
    return made


def _row(series: Series, level: Level, first: Level | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "run": series.label,
        "c": level.concurrency,
        "status": level.status,
        "n": sum(sample.status != "failed" for sample in level.samples),
    }
    if level.why:
        row["why"] = level.why[:200]
    row |= {key: short(value) for key in _SHOWN if (value := level.figure(key)) is not None}
    for name in _SPREAD:
        middle = level.middle(name)
        if middle is None:
            continue
        row[f"{name}_mid"] = short(middle)
        several = level.repeats.get(f"{name}_p50", ())
        if len(several) > 1:
            row[f"{name}_lo"], row[f"{name}_hi"] = short(min(several)), short(max(several))
    total = level.figure("total_throughput")
    if series.gpus and total is not None:
        row["per_gpu"] = short(total / series.gpus)
    start = first.figure("output_throughput") if first else None
    if first is not None and start is not None and series.kind != "reference":
        row["ideal"] = short(start * level.concurrency / first.concurrency)
    return row


def short(value: float) -> float:
    """Six significant digits: more is no one's measurement, and makes a page large."""
    return float(f"{value:.6g}")
