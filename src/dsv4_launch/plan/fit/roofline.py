"""A ceiling for decoding: no server is faster than its memory lets it read weights and KV cache.

Vendors' peaks, all kernels perfect, no communication: real servers reach a small part of it. It orders layouts; it
predicts nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from dsv4_launch.catalog.memory import figures
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.fit.memory import shared_expert_ranks
from dsv4_launch.plan.fit.types import GIB, Question


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The shortest decode step for a number of requests, and the tokens per second that follow."""

    step_ms: float
    tokens_per_s: float
    tokens_per_s_gpu: float


def ceiling(asked: Question, length: int, requests: int) -> Ceiling | None:
    """The ceiling for ``requests`` in all at a context length; None for a GPU whose peaks are not in the catalog."""
    row = figures("roofline")
    gpu = row["gpu"].get(asked.gpu)
    if gpu is None or requests < 1:
        return None
    per_engine = requests / asked.data
    bytes_ = _weight_bytes(asked, row, requests) + per_engine * _at(row, "kv_read_mb", length) * 1e6
    flops = _gflop(row, length) * 1e9 * requests / (asked.tensor * asked.data)
    step_s = max(bytes_ / (gpu["memory_tb_per_s"] * 1e12), flops / (gpu["fp8_pflops"] * 1e15))
    total = requests / step_s
    return Ceiling(step_s * 1e3, total, total / (asked.tensor * asked.data * asked.pipeline))


def _weight_bytes(asked: Question, row: Mapping[str, Any], requests: int) -> float:
    """Weights that one GPU reads in a step: of the experts those that some token of the batch picks."""
    weights = figures("weights")
    touched = 1 - (1 - row["experts_per_token"] / row["routed_experts"]) ** requests
    return GIB * float(
        weights["experts"] / asked.expert_ranks * touched
        + (weights["attention"] + weights["head"]) / asked.tensor
        + weights["shared_expert"] / shared_expert_ranks(asked)
        + weights["replicated"]
    )


def _gflop(row: Mapping[str, Any], length: int) -> float:
    return (
        float(row["linear_gflop_per_token"]) + _at(row, "attention_gflop", length) + _at(row, "indexer_gflop", length)
    )


def _at(row: Mapping[str, Any], name: str, length: int) -> float:
    """Between two lengths on a straight line; below the first and beyond the last on the nearest line."""
    xs, ys = row["lengths"], row[name]
    at = min(max(bisect_right(xs, length), 1), len(xs) - 1)
    return float(ys[at] + (ys[at] - ys[at - 1]) / (xs[at] - xs[at - 1]) * (length - xs[at]))
