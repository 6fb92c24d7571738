"""Many layouts at once: ``max_num_batched_tokens=4096..65536 parallel=tp4,dp8`` as questions to the planner."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dsv4_launch.catalog.memory import regime
from dsv4_launch.catalog.releases import nearest_release
from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import UsageError
from dsv4_launch.plan.argv.numbers import integer
from dsv4_launch.plan.fit.planner import answer
from dsv4_launch.plan.fit.types import MemoryFit, Question
from dsv4_launch.values import listed, nearest

_PARALLEL = re.compile(r"(?=[tdp])(?:tp(\d{1,4}))?(?:pp(\d{1,4}))?(?:dp(\d{1,4}))?(?:tp(\d{1,4}))?(ep)?")
_RANGE = re.compile(r"([0-9.]+[kKmM]?)\.\.([0-9.]+[kKmM]?)")
MOST = 10_000
# What vLLM can split this model's heads and output groups into (the constraint on parallel.tensor).
TENSOR = (1, 2, 4, 8)
# Sixteen times the model's context: beyond it only the overhead would grow.
MOST_TOKENS = 2**24


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a sweep: the values that were asked for, the GPUs that they take, and the memory."""

    values: Mapping[str, str]
    gpus: int
    fit: MemoryFit


def sweep(asked: Question, words: Sequence[str]) -> list[Row]:
    """Every combination of the values, in the order given. Raises UsageError with what a word should look like."""
    axes = [_axis(word) for word in words]
    names = [name for name, _ in axes]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"--sweep names {doubled} twice.", fix=f"Write all values in one: {doubled}=A,B,C.")
    count = 1
    for _, values in axes:
        count *= len(values)
    if count > MOST:
        raise UsageError(f"The sweep has {count:,} combinations.", fix=f"At most {MOST:,} are computed.")
    return list(_rows(asked, names, [values for _, values in axes]))


def _rows(asked: Question, names: Sequence[str], axes: Sequence[Sequence[str]]) -> Iterator[Row]:
    for values in itertools.product(*axes):
        changed = asked
        for name, value in zip(names, values, strict=True):
            changed = _KEYS[name](changed, value)
        gpus = changed.tensor * changed.data * changed.pipeline
        yield Row(dict(zip(names, values, strict=True)), gpus, answer(changed))


def _axis(word: str) -> tuple[str, list[str]]:
    name, equals, text = word.partition("=")
    name = name.removeprefix("engine.").replace("-", "_")
    if not equals or name not in _KEYS:
        meant = nearest(name, _KEYS)
        raise UsageError(
            f"--sweep {word} is not key=value,value.",
            fix=f"Did you mean {meant}=…?" if meant else f"Keys: {listed(_KEYS)}.",
        )
    values: list[str] = []
    for value in filter(None, text.split(",")):
        found = _RANGE.fullmatch(value)
        values += _doubling(word, *found.groups()) if found else [value]
    if not values:
        raise UsageError(f"--sweep {word} has no value.", fix=f"As in {name}=8192,16384 or {name}=4096..65536.")
    return name, values


def _doubling(word: str, first: str, last: str) -> list[str]:
    low, high = integer(first), integer(last)
    if not low or not high or low > high:
        raise UsageError(f"--sweep {word}: {first}..{last} is no range.", fix="As in 4096..65536: doubled each time.")
    values = []
    while low < high:
        values.append(str(low))
        low *= 2
    return [*values, str(high)]


def parallel(asked: Question, word: str) -> Question:
    """The layout of a word such as tp4, tp8ep, dp8 or tp2dp4. Raises UsageError when it is none."""
    found = _PARALLEL.fullmatch(word.lower())
    if not found or (found.group(1) and found.group(4)):
        raise UsageError(f"{word} is no layout.", fix="As in tp4, tp4ep, dp8, tp2dp4 or tp4pp2.")
    tensor, pipeline, data = (int(n or 1) for n in (found.group(1) or found.group(4), found.group(2), found.group(3)))
    if not 1 <= tensor * pipeline * data <= 65536 or pipeline > 43:
        raise UsageError(f"{word} is no layout: it takes {tensor * pipeline * data} GPUs.")
    if tensor not in TENSOR:
        why = f"vLLM cannot split this model over {tensor} tensor ranks"
        raise UsageError(f"{word} is no layout: {why}.", fix=f"tensor ranks: {listed(TENSOR)}.")
    expert = bool(found.group(5)) or asked.expert
    return replace(
        asked, tensor=tensor, data=data, pipeline=pipeline, expert=expert, mega_moe=asked.mega_moe and expert
    )


def _tokens(field: str) -> Callable[[Question, str], Question]:
    def change(asked: Question, text: str) -> Question:
        number = integer(text)
        if not number or number < 1:
            raise UsageError(f"{field}={text} is no number of tokens.", fix="As in 8192, 64k (64,000) or 64K (65,536).")
        if number > MOST_TOKENS:
            raise UsageError(f"{field}={text} is more than any server takes.", fix=f"At most {MOST_TOKENS:,}.")
        return _replaced(asked, {field: number})

    return change


def _replaced(asked: Question, values: Mapping[str, Any]) -> Question:
    return replace(asked, **values)


def _length(asked: Question, text: str) -> Question:
    return replace(asked, max_model_len=0) if text == "auto" else _tokens("max_model_len")(asked, text)


def _utilization(asked: Question, text: str) -> Question:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"gpu_memory_utilization={text} is no share.", fix="A number up to 1, as in 0.92.")
    return replace(asked, memory_utilization=share)


def _release(asked: Question, text: str) -> Question:
    release = nearest_release(text)[0].version
    return replace(asked, vllm=release, v2_runner=regime(release).v2_runner or asked.draft == "dspark")


def _indexer(asked: Question, text: str) -> Question:
    if text not in {"fp4", "fp8"}:
        raise UsageError(f"indexer_cache_dtype={text} is neither fp4 nor fp8.")
    return replace(asked, fp4_indexer=text == "fp4")


_KEYS: Mapping[str, Callable[[Question, str], Question]] = {
    "parallel": parallel,
    "max_model_len": _length,
    "max_num_batched_tokens": _tokens("max_num_batched_tokens"),
    "max_num_seqs": _tokens("max_num_seqs"),
    "gpu_memory_utilization": _utilization,
    "indexer_cache_dtype": _indexer,
    "vllm": _release,
}
