"""Figures that others published, as series: marked as theirs wherever they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.bench.point import Latency, Point
from dsv4_launch.bench.series import Sample, Series
from dsv4_launch.catalog.read import table
from dsv4_launch.errors import UsageError
from dsv4_launch.values import listed, nearest


def keys() -> tuple[str, ...]:
    """What `--reference` may name."""
    return tuple(entry["key"] for entry in table("published")["published"])


def published(key: str) -> Series:
    """The series of a published measurement. Raises UsageError for a key that there is not."""
    for entry in table("published")["published"]:
        if entry["key"] == key:
            return _series(entry)
    meant = nearest(key, keys())
    hint = f"Did you mean {meant}? " if meant else ""
    raise UsageError(
        f"{key!r} is no published measurement.", where="--reference", fix=f"{hint}Known: {listed(keys())}."
    )


def _series(entry: Mapping[str, Any]) -> Series:
    facts = {
        "published by": entry["by"],
        "GPUs": entry["hardware"],
        "vLLM": entry["vllm"],
        "workload": entry["workload"],
        "note": entry["note"],
    }
    return Series(
        f"{entry['label']} (theirs)",
        "reference",
        tuple(Sample(point["concurrency"], 1, "ok", point=_point(point)) for point in entry["points"]),
        entry["gpus"],
        {name: text for name, text in facts.items() if text},
        source=entry["source"],
        notes=("Other people's figures, under their workload; of latencies they give means, not medians.",),
    )


def _point(known: Mapping[str, Any]) -> Point:
    def mean(name: str) -> Latency | None:
        value = known.get(f"{name}_mean")
        return None if value is None else Latency(mean=float(value))

    return Point(
        key="",
        concurrency=known["concurrency"],
        repeat=1,
        completed=1,
        failed=0,
        duration_s=0.0,
        input_tokens=0,
        output_tokens=0,
        request_throughput=0.0,
        input_throughput=0.0,
        output_throughput=float(known["output_throughput"]),
        total_throughput=float(known.get("total_throughput", 0.0)),
        ttft=mean("ttft"),
        tpot=mean("tpot"),
        itl=mean("itl"),
    )
