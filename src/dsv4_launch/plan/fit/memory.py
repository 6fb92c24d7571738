"""Where a GPU's memory goes besides the KV cache: weights, buffers that the source gives, and a fitted rest."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from dsv4_launch.catalog.memory import compress_ratios, figures, row_for
from dsv4_launch.catalog.version import within
from dsv4_launch.plan.fit.kv_cache import stage_of_layers
from dsv4_launch.plan.fit.types import GIB, Interval, Overhead, Part, Question


def usable_gib(asked: Question) -> tuple[float, float]:
    """Memory of one GPU that CUDA sees, and the share of it that vLLM takes, in GiB."""
    total = asked.memory_mib / 1024 * figures("device")["visible_share"]
    return total, total * asked.memory_utilization


def parameters_gib(asked: Question, stage: int = 0) -> float:
    """Parameters on one GPU of a pipeline stage, the draft module included."""
    row = figures("weights")
    stages = stage_of_layers(len(compress_ratios()), asked.pipeline)
    share = stages.count(stage) / len(stages)
    total = share * _layers_gib(row, asked)
    if stage == 0:
        total += row["embedding"] / asked.tensor
    if stage == asked.pipeline - 1:
        total += row["head"] / asked.tensor
        if asked.draft:
            total += _layers_gib(row[asked.draft], asked)
            # The embedding is the model's own where both are on one stage.
            total += row["embedding"] / asked.tensor if asked.pipeline > 1 else 0.0
    return total


def shared_expert_ranks(asked: Question) -> int:
    """Tensor ranks that split the shared expert: one when layers split tokens over them instead (sequence parallel)."""
    sequence_parallel = (
        within(asked.vllm, figures("weights")["sequence_parallel"])
        and asked.pipeline == 1
        and asked.expert
        and (asked.mega_moe or asked.data > 1)
    )
    return 1 if sequence_parallel else asked.tensor


def _layers_gib(row: Any, asked: Question) -> float:
    return float(
        row["experts"] / asked.expert_ranks
        + row["attention"] / asked.tensor
        + row["shared_expert"] / shared_expert_ranks(asked)
        + row["replicated"]
    )


def weights_gib(asked: Question, stage: int = 0) -> float:
    """What "Model loading took" counts: parameters, and the RoPE tables."""
    return parameters_gib(asked, stage) + float(figures("weights")["rope_tables"])


def overhead(asked: Question) -> Overhead:
    """All that is neither weights nor KV cache, with its parts."""
    parts = [
        *([_read("symmetric buffer of MegaMoE", symmetric_buffer_gib(asked))] if asked.mega_moe else []),
        _read("workspace of the attention layers", workspace_gib(asked)),
        _read("indexer logits", figures("logits")["gib"]),
        Part("CUDA context, NCCL, activations, CUDA graphs", rest_gib(asked), "fitted"),
    ]
    return Overhead(sum(part.gib.low for part in parts), sum(part.gib.high for part in parts), tuple(parts))


def _read(name: str, gib: float) -> Part:
    return Part(name, Interval(gib, gib), "source")


def symmetric_buffer_gib(asked: Question) -> float:
    """The MegaMoE kernel's buffer for tokens of all expert ranks."""
    row = row_for("symmetric_buffer", asked.vllm)
    few, many = (_on_line(row["batched_tokens"], row["gib"][n], asked.max_num_batched_tokens) for n in ("4", "8"))
    return max(0.0, few + (many - few) * (asked.expert_ranks - 4) / 4)


def _on_line(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The value at x on the line through the two nearest points."""
    at = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    slope = (ys[at] - ys[at - 1]) / (xs[at] - xs[at - 1])
    return ys[at] + slope * (x - xs[at])


def workspace_gib(asked: Question) -> float:
    """The workspace that all layers share; sized for the longest length that was asked for."""
    row, length = figures("workspace"), asked.max_model_len or asked.model_limit
    tokens = length // row["compression"] + row["window"] + asked.max_num_batched_tokens
    factor = next(
        r["factor"] for r in row["gather_factor"] if within(asked.vllm, r["vllm"]) and length > r["longer_than"]
    )
    entry = 68 if asked.fp4_indexer and within(asked.vllm, ">=0.27.0") else 132
    return float(max(row["bytes_per_token"] * tokens, length * row["gather_rows"] * factor // 4 * entry) / GIB)


def rest_gib(asked: Question) -> Interval:
    """What only a run shows: fitted to B200 logs with 8192 batched tokens, and wider the farther from them."""
    row, tokens = figures("rest"), asked.max_num_batched_tokens
    slope = row["bytes_per_token_data_parallel"] if asked.data > 1 else row["bytes_per_token"]
    middle = row["gib_tensor_parallel" if asked.tensor > 1 else "gib"] + slope * tokens / GIB
    half = row["half_width_gib"] if asked.arch == row["fitted_arch"] else row["half_width_gib_elsewhere"]
    half += row["half_width_bytes_per_token"] * abs(tokens - row["fitted_at_tokens"]) / GIB
    # Never below zero, and still around the middle.
    half = min(half, middle)
    return Interval(middle - half, middle + half)
