"""Which layouts serve so many requests of such a length, best first, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from dsv4_launch.catalog.gpus import Gpu
from dsv4_launch.catalog.memory import Measurement, measurements, regime
from dsv4_launch.catalog.models import Variant
from dsv4_launch.catalog.version import within
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.fit.planner import answer
from dsv4_launch.plan.fit.roofline import Ceiling, ceiling
from dsv4_launch.plan.fit.sweep import TENSOR
from dsv4_launch.plan.fit.types import MemoryFit, Question
from dsv4_launch.values import counted

Objective = Literal["throughput", "latency", "context"]
_BATCHED = (16384, 8192, 4096, 2048)
UTILIZATION = 0.90


@dataclass(frozen=True, slots=True)
class Choice:
    """One layout: what it takes, what it holds, what bounds its speed, what was measured, and how to write it.

    ``certain``: it holds the requests also when the overhead is at its highest. ``holds``: requests of the wanted
    length that are resident at once, over all engines, at the low end.
    """

    layout: str
    gpus: int
    certain: bool
    holds: int
    expected: int
    longest: int
    fit: MemoryFit
    ceiling: Ceiling | None
    ceiling_when_full: Ceiling | None
    decides: tuple[str, ...]
    measured: tuple[Measurement, ...]
    patch: Mapping[str, Any]


def recommend(
    gpu: Gpu, variant: Variant, vllm: str, *, gpus: int, context: int, concurrency: int, objective: Objective
) -> list[Choice]:
    """The layouts on at most ``gpus`` GPUs that hold the requests, best first; empty when none does."""
    choices = []
    for tensor in TENSOR:
        for data in range(1, gpus // tensor + 1):
            if variant.routed_experts % (tensor * data) == 0:
                found = _best(_asked(gpu, variant, vllm, tensor, data, context, concurrency), context, concurrency)
                if found is not None:
                    choices.append(found)
    return sorted(choices, key=lambda choice: _rank(choice, objective))


def _asked(gpu: Gpu, variant: Variant, vllm: str, tensor: int, data: int, context: int, concurrency: int) -> Question:
    blackwell = gpu.arch == "sm100"
    return Question(
        vllm=vllm,
        gpu=gpu.key,
        arch=gpu.arch,
        memory_mib=gpu.memory_mib,
        memory_utilization=UTILIZATION,
        tensor=tensor,
        data=data,
        pipeline=1,
        expert=tensor * data > 1,
        draft="",
        fp4_indexer=blackwell,
        mega_moe=blackwell and variant.precision == "fp4-fp8" and tensor * data > 1 and within(vllm, ">=0.20.2"),
        max_model_len=context,
        model_limit=variant.max_model_len,
        max_num_batched_tokens=_BATCHED[0],
        max_num_seqs=max(1, -(-concurrency // data)),
        asynchronous=True,
        v2_runner=regime(vllm).v2_runner,
    )


def _best(asked: Question, context: int, concurrency: int) -> Choice | None:
    """The largest batch with which the layout holds the requests, for sure if there is one."""
    tried = [(replace(asked, max_num_batched_tokens=n), n) for n in _BATCHED]
    fits = [(question, answer(question)) for question, _ in tried]
    sure = [pair for pair in fits if pair[1].low.resident_concurrency * asked.data >= concurrency]
    likely = [pair for pair in fits if pair[1].sums.resident_concurrency >= concurrency]
    if not (sure or likely):
        return None
    question, found = (sure or likely)[0]
    return _choice(question, found, context, concurrency, certain=bool(sure))


def _choice(asked: Question, found: MemoryFit, context: int, concurrency: int, *, certain: bool) -> Choice:
    # Room: how many would fit if the scheduler let more in.
    room = answer(replace(asked, max_num_seqs=1 << 30))
    name = (
        f"tp{asked.tensor}" + (f"dp{asked.data}" if asked.data > 1 else "") if asked.tensor > 1 else f"dp{asked.data}"
    )
    holds = room.low.resident_concurrency * asked.data
    top, full = (ceiling(asked, context, requests) for requests in (concurrency, max(holds, concurrency)))
    decides = [
        f"memory: {found.weights_gib:.1f} GiB of weights a GPU; {found.low.available_kv_gib:.0f} to "
        f"{found.high.available_kv_gib:.0f} GiB for KV hold {holds:,} to "
        f"{counted(room.high.resident_concurrency * asked.data, 'request')} of {context:,} tokens",
    ]
    if asked.tensor > 1:
        decides.append(f"each of the {asked.tensor} tensor ranks keeps a copy of the same KV cache")
    if top is not None and full is not None:
        decides.append(
            f"ceiling of decoding, never reached: {top.tokens_per_s:,.0f} tokens/s and {top.step_ms:.2f} ms a step "
            f"with {counted(concurrency, 'request')}, "
            f"{full.tokens_per_s:,.0f} tokens/s with all that fit"
        )
    return Choice(
        layout=name,
        gpus=asked.tensor * asked.data,
        certain=certain,
        holds=holds,
        expected=room.sums.resident_concurrency,
        longest=found.low.longest,
        fit=found,
        ceiling=top,
        ceiling_when_full=full,
        decides=tuple(decides),
        measured=tuple(m for m in measurements() if (m.gpu, m.tensor, m.data) == (asked.gpu, asked.tensor, asked.data)),
        patch=_patch(asked),
    )


def _patch(asked: Question) -> Mapping[str, Any]:
    engine: dict[str, Any] = {
        "kv_cache_dtype": "fp8",
        "max_model_len": asked.max_model_len,
        "max_num_batched_tokens": asked.max_num_batched_tokens,
        "max_num_seqs": asked.max_num_seqs,
        "gpu_memory_utilization": asked.memory_utilization,
    }
    if asked.fp4_indexer:
        engine["indexer_cache_dtype"] = "fp4"
    if asked.mega_moe:
        engine["moe_backend"] = "deep_gemm_mega_moe"
    return {"parallel": {"tensor": asked.tensor, "data": asked.data, "expert": asked.expert}, "engine": engine}


def _rank(choice: Choice, objective: Objective) -> tuple[Any, ...]:
    """What holds the requests for sure comes first; then the objective; then fewer GPUs, more room."""
    top, full = choice.ceiling, choice.ceiling_when_full
    speed = -(full.tokens_per_s if full else 0.0)
    step = top.step_ms if top else 0.0
    first: tuple[float, ...] = {
        "throughput": (speed,),
        "latency": (step,),
        "context": (-choice.holds, speed),
    }[objective]
    return (not choice.certain, *first, choice.gpus, -choice.holds)
