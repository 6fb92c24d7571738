"""How a GPU's memory is spent, and how many requests of which length it holds, before anything runs.

What vLLM computes is computed as it does, to the integer. What it measures while it starts (activations, CUDA graphs)
is an interval, until a log of a real start replaces it.
"""

from __future__ import annotations

from dsv4_launch.catalog.memory import regime
from dsv4_launch.errors import Problem
from dsv4_launch.plan.fit.kv_cache import bytes_of_request, bytes_per_block, capacity
from dsv4_launch.plan.fit.memory import overhead, usable_gib, weights_gib
from dsv4_launch.plan.fit.question import question
from dsv4_launch.plan.fit.types import GIB, Capacity, Interval, MemoryFit, Overhead, Part, Question, Sums
from dsv4_launch.plan.types import Notice, Plan


def fit(plan: Plan, *, available_kv_gib: float | None = None, loaded_gib: float | None = None) -> MemoryFit | None:
    """The memory of the plan; None for a rehearsal, and for a GPU whose memory is not known.

    ``available_kv_gib`` and ``loaded_gib`` are what a start logged ("Available KV cache memory", "Model loading took").
    """
    asked = question(plan)
    return None if asked is None else answer(asked, available_kv_gib=available_kv_gib, loaded_gib=loaded_gib)


def answer(asked: Question, *, available_kv_gib: float | None = None, loaded_gib: float | None = None) -> MemoryFit:
    """The memory of a layout."""
    total, usable = usable_gib(asked)
    weights = [weights_gib(asked, stage) if loaded_gib is None else loaded_gib for stage in range(asked.pipeline)]
    spent = overhead(asked)
    if available_kv_gib is not None:
        least = most = middle = (int(available_kv_gib * GIB),) * asked.pipeline
        gap = usable - max(weights) - available_kv_gib
        spent = Overhead(gap, gap, (Part("all else, as measured", Interval(gap, gap), "measured"),))
    else:
        least, middle, most = (
            tuple(int((usable - loaded - gone) * GIB) for loaded in weights)
            for gone in (spent.high, (spent.low + spent.high) / 2, spent.low)
        )
    holds = capacity(asked, middle)
    length = holds.max_model_len
    return MemoryFit(
        regime=regime(asked.vllm).name,
        gpu_gib=total,
        usable_gib=usable,
        weights_gib=max(weights),
        overhead_gib=spent,
        available_kv_gib=holds.available_kv_gib,
        bytes_per_block=bytes_per_block(asked),
        bytes_per_request=bytes_of_request(asked, length) if length else 0,
        num_blocks=holds.num_blocks,
        tokens=holds.tokens,
        max_concurrency=holds.max_concurrency,
        resident_concurrency=holds.resident_concurrency,
        max_model_len=length,
        fits=holds.fits,
        measured=available_kv_gib is not None,
        engines=asked.data,
        sums=_sums(holds, asked.data),
        low=capacity(asked, least),
        high=capacity(asked, most),
    )


def _sums(holds: Capacity, engines: int) -> Sums:
    return Sums(
        holds.num_blocks * engines,
        holds.tokens * engines,
        holds.max_concurrency * engines,
        holds.resident_concurrency * engines,
    )


def judge_memory(plan: Plan, where: str) -> tuple[list[Problem], tuple[Notice, ...]]:
    """What stands in a plan's way for lack of memory, and what may: problems and warnings."""
    asked = question(plan)
    if asked is None:
        return [], ()
    found = answer(asked)
    problem, warning = misfit(asked, found, where), doubt(found, where)
    return [problem] if problem else [], (warning,) if warning else ()


def misfit(asked: Question, found: MemoryFit, where: str = "") -> Problem | None:
    """The problem of a layout that certainly cannot hold one request of its length; None when it may."""
    if not found.certainly_too_small:
        return None
    best = found.high
    if best.available_kv_gib <= 0:
        return Problem(
            "memory",
            f"The weights ({found.weights_gib:.1f} GiB of each GPU) and what vLLM needs beside them leave no memory "
            f"for the KV cache: {found.usable_gib:.1f} GiB of each GPU may be used.",
            where,
            "Use more GPUs (parallel.tensor, or parallel.data with parallel.expert), or more of each: "
            "engine.gpu_memory_utilization.",
        )
    shorter = f"Set engine.max_model_len: {best.longest} or auto" if best.longest else "No length fits"
    return Problem(
        "memory",
        f"One request of {best.max_model_len:,} tokens needs {found.bytes_per_request / GIB:.2f} GiB of KV cache; at "
        f"most {best.available_kv_gib:.2f} GiB are available. The longest that fits is {best.longest:,}.",
        where,
        f"{shorter}; fewer than {asked.max_num_batched_tokens} engine.max_num_batched_tokens leave more room.",
    )


def doubt(found: MemoryFit, where: str = "") -> Notice | None:
    """A warning for a layout that holds its length only if the overhead is not at its highest."""
    if found.certainly_too_small or not found.maybe_too_small:
        return None
    low = found.low
    return Notice(
        "warning",
        f"memory: a request of {low.max_model_len:,} tokens may not fit",
        f"between {low.available_kv_gib:.1f} and {found.high.available_kv_gib:.1f} GiB are left for the KV cache; with "
        f"the least, the longest request is {low.longest:,} tokens",
        where,
    )
