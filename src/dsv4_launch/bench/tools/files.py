"""Result files of other load generators, read into the values of our own points.

Each reader knows its tool's file by keys that no other has, and takes what both measure alike: what a tool does not say
is None, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from dsv4_launch.bench.series import Sample, Series
from dsv4_launch.bench.tools import aiperf as read_aiperf
from dsv4_launch.bench.tools import guidellm as read_guidellm
from dsv4_launch.bench.tools import inference_perf as read_inference_perf
from dsv4_launch.errors import InputError

EXPECTED = (
    "Give a directory that `dsv4 bench run` wrote, guidellm's benchmarks.json, aiperf's profile_export_aiperf.json or "
    "inference-perf's stage_N_lifecycle_metrics.json, or a folder that holds them."
)
_READERS: tuple[tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any], str], Series]], ...] = (
    (read_guidellm.knows, read_guidellm.read),
    (read_aiperf.knows, read_aiperf.read),
    (read_inference_perf.knows, read_inference_perf.read),
)
NAMES = ("benchmarks.json", "profile_export_aiperf.json", "stage_*_lifecycle_metrics.json")


def read(data: Mapping[str, Any], where: str) -> Series:
    """The series of one tool's file. Raises InputError: of no tool that is known, or it lacks what it should have."""
    for knows, reader in _READERS:
        if knows(data):
            found = reader(data, where)
            if not found.samples:
                raise InputError("It holds no measurement.", where=where, code="bench-file")
            return found
    said = "No load generator that is known writes such a file."
    raise InputError(said, where=where, fix=EXPECTED, code="bench-file")


def together(found: Iterable[Series]) -> tuple[Series, ...]:
    """Files of one tool as one series: aiperf and inference-perf write one for each concurrency.

    Several files at the same concurrency are repeats.
    """
    by_tool: dict[str, list[Series]] = {}
    for one in found:
        by_tool.setdefault(one.label, []).append(one)
    return tuple(replace(group[0], samples=_numbered(group)) for group in by_tool.values())


def _numbered(group: Iterable[Series]) -> tuple[Sample, ...]:
    seen: dict[int, int] = {}
    samples = []
    for one in group:
        for sample in one.samples:
            seen[sample.concurrency] = seen.get(sample.concurrency, 0) + 1
            samples.append(replace(sample, repeat=seen[sample.concurrency]))
    return tuple(samples)
