"""The command line of a benchmark as workload, method and points."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dsv4_launch.bench import dataset as datasets
from dsv4_launch.bench.limits import parse_slo
from dsv4_launch.bench.results import Method, Planned, Workload
from dsv4_launch.bench.workload import (
    PRESETS,
    REQUESTS_PER_CONCURRENCY,
    TOTAL_TOKENS,
    parse_concurrencies,
    plan_points,
)
from dsv4_launch.errors import InputError, UsageError

_HEAD_BYTES = 1_000_000
_LONGEST_NOTE = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line."""

    lengths: tuple[int, int]
    name: str | None = None
    url: str | None = None
    model: str | None = None
    key_env: str | None = None
    directory: str | None = None
    resume: str | None = None
    concurrency: str = "1..1024"
    total_tokens: int | None = None
    per_concurrency: int | None = None
    dataset: str | None = None
    prefix_ratio: float = 0.0
    api: Literal["chat", "completions"] | str = "chat"
    thinking: bool | None = None
    temperature: float | None = None
    seed: int = 0
    repeats: int = 1
    warmup: int = 2
    rest_s: float = 5.0
    timeout_s: float = 0.0
    slo: str | None = None
    stop_on_slo: bool = False
    stop_errors: float = 0.5
    stop_fall: float = 0.0
    tokenizer: str | None = None
    client_python: str | None = None
    client_image: str | None = None
    detailed: bool | None = None
    note: str = ""
    estimate: bool = False
    report: bool = True
    target: str | None = None


def lengths(preset: str, input_len: int | None, output_len: int | None, dataset: str | None) -> tuple[int, int]:
    """Input and output length as asked, else of the preset; a data set has its own."""
    if dataset is not None:
        if input_len is not None:
            raise UsageError("A data set says how long its prompts are: --input-len does not go with --dataset.")
        return 0, output_len or 0
    ins, outs = PRESETS[preset]
    return input_len or ins, output_len or outs


def plan_sweep(asked: Asked) -> tuple[Workload, Method, tuple[Planned, ...]]:
    """Workload, method and points of a command line. Raises UsageError, InputError (data set)."""
    if asked.total_tokens is not None and asked.per_concurrency is not None:
        raise UsageError("--total-tokens and --requests-per-concurrency exclude each other.")
    if len(asked.note) > _LONGEST_NOTE:
        raise UsageError(f"A note of {len(asked.note)} characters is too long.", fix=f"At most {_LONGEST_NOTE}.")
    ins, outs = asked.lengths
    shape: dict[str, Any] = {"input_len": ins, "output_len": outs}
    each = asked.per_concurrency or 0
    if asked.dataset is not None:
        if asked.total_tokens is not None:
            raise UsageError("Of a data set nobody knows the tokens before: use --requests-per-concurrency.")
        shape |= read_dataset(Path(asked.dataset), outs)
        each = each or REQUESTS_PER_CONCURRENCY
    slo = parse_slo(asked.slo)
    if asked.stop_on_slo and asked.slo is None:
        raise UsageError("--stop-on-slo needs limits.", fix="As in --slo ttft=500,tpot=50.")
    workload = Workload(
        **shape,
        total_tokens=0 if each else asked.total_tokens or TOTAL_TOKENS,
        requests_per_concurrency=each,
        prefix_ratio=asked.prefix_ratio,
        seed=asked.seed,
        api="completions" if asked.api == "completions" else "chat",
        thinking=asked.thinking,
        temperature=asked.temperature,
        ignore_eos=asked.dataset is None,
    )
    method = Method(
        warmup_per_concurrency=asked.warmup,
        repeats=asked.repeats,
        rest_s=asked.rest_s,
        timeout_s=asked.timeout_s,
        slo=slo,
        stop_on_slo=asked.stop_on_slo,
        stop_error_rate=asked.stop_errors,
        stop_fall=asked.stop_fall,
    )
    return workload, method, plan_points(workload, method, parse_concurrencies(asked.concurrency))


def read_dataset(path: Path, output_len: int) -> dict[str, Any]:
    """The fields of a workload that a data set sets. Raises InputError."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"The data set cannot be read: {error.strerror}.", where=str(path)) from None
    found = datasets.check(str(path), head.decode("utf-8", "replace"), output_len=output_len)
    return {"dataset": str(path.resolve()), "dataset_format": found, "dataset_sha256": digest}
