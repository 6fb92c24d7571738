"""Running `dsv4 fit` and `dsv4 recommend`: reading logs and calibration, and choosing what is printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from dsv4_launch.cli import options, show
from dsv4_launch.cli.configs import load_config
from dsv4_launch.cli.fit import calibration as fit_calibration
from dsv4_launch.cli.fit import tables as fit_show
from dsv4_launch.errors import ImpossibleError, InputError, UsageError
from dsv4_launch.plan.fit.planner import answer, misfit
from dsv4_launch.plan.fit.question import question
from dsv4_launch.plan.fit.startup_log import Logged, read_log
from dsv4_launch.plan.fit.sweep import sweep as sweep_over
from dsv4_launch.plan.fit.types import MemoryFit, Question
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.values import counted


def run_fit(
    words: Sequence[str],
    available_kv_gib: float | None,
    log: str | None,
    calibrate: str | None,
    sweeps: Sequence[str],
    overrides: Sequence[str] | None,
    output: options.Output,
) -> int:
    """`dsv4 fit`. Raises UsageError, InputError (config, log) or ImpossibleError (nothing fits)."""
    if sum(given is not None for given in (available_kv_gib, log, calibrate)) > 1:
        raise UsageError("Only one of --available-kv-gib, --log and --calibrate can say what was measured.")
    if available_kv_gib is not None and not 0 <= available_kv_gib <= 100_000:
        raise UsageError(f"--available-kv-gib {available_kv_gib} is no amount of memory.")
    names = [word for word in words if "=" not in word]
    axes = [*sweeps, *(word for word in words if "=" in word)]
    if len(names) > 1:
        raise UsageError(f"One config at a time: {' and '.join(names)} were named.")
    if axes and not sweeps:
        raise UsageError(f"{axes[0]} names no config.", fix=f"As in --sweep {axes[0]}, or --set to change a value.")
    asked = question(resolve(load_config(names[0] if names else None, overrides)))
    if asked is None:
        raise ImpossibleError("A config without a GPU of known memory has nothing to fit.", code="no-gpu-memory")
    if axes:
        return _print_sweep(sweep_over(asked, axes), output)
    notes: list[str] = []
    name = log or calibrate
    logged = _logged(name) if name else Logged()
    if calibrate and logged.available_kv_gib is not None:
        notes.append(f"remembered in {fit_calibration.remember(asked, logged.available_kv_gib)}")
    measured = available_kv_gib if available_kv_gib is not None else logged.available_kv_gib
    if measured is None and (measured := fit_calibration.recall(asked)) is not None:
        notes.append(f"KV memory as measured before ({fit_calibration.place()})")
    found = answer(asked, available_kv_gib=measured, loaded_gib=logged.loaded_gib)
    notes += _against(found, logged)
    problem = misfit(asked, found)
    if problem and output is not options.Output.human:
        show.envelope("fit", ImpossibleError.exit_code, as_data(asked, found, logged), [problem])
        return ImpossibleError.exit_code
    if output is options.Output.json:
        show.envelope("fit", 0, as_data(asked, found, logged))
        return 0
    fit_show.show_fit(found, notes)
    if problem:
        raise ImpossibleError(problem)
    return 0


def as_data(asked: Question, found: MemoryFit, logged: Logged | None = None) -> dict[str, Any]:
    """What JSON says of a fit."""
    return {"fit": found, "question": asked, "logged": logged if logged and logged != Logged() else None}


def _logged(name: str) -> Logged:
    try:
        if name == "-":
            found = read_log(sys.stdin)
        else:
            with Path(name).open(encoding="utf-8", errors="replace") as file:
                found = read_log(file)
    except OSError as error:
        raise InputError(f"The log cannot be read: {error.strerror or error}.", where=name) from None
    if found.available_kv_gib is None:
        raise InputError(
            'The log has no line "Available KV cache memory".',
            where=name,
            fix="It is printed while the engine starts, at INFO level; give the log from its beginning.",
        )
    return found


def _against(found: MemoryFit, logged: Logged) -> list[str]:
    """Where the log says something else than the planner, given the memory that it says."""
    if logged.max_concurrency is None or logged.max_model_len is None:
        return []
    if logged.max_model_len != found.max_model_len:
        return [f"the log serves {logged.max_model_len:,} tokens, this config {found.max_model_len:,}: another config?"]
    off = found.max_concurrency / logged.max_concurrency - 1 if logged.max_concurrency else 0.0
    return [f"logged concurrency {logged.max_concurrency:.2f}x, computed {found.max_concurrency:.2f}x ({off:+.2%})"]


def _print_sweep(rows: Sequence[Any], output: options.Output) -> int:
    if output is options.Output.json:
        show.envelope("fit", 0, {"sweep": rows})
    else:
        fit_show.show_sweep(rows)
    return 0


def run_recommend(
    context: int,
    concurrency: int,
    objective: Literal["throughput", "latency", "context"],
    gpu: str,
    gpus: int,
    vllm: str,
    model: str,
    output: options.Output,
) -> int:
    """`dsv4 recommend`. Raises InputError (unknown names) or ImpossibleError (nothing holds the requests)."""
    from dsv4_launch.catalog.gpus import gpus as gpu_types
    from dsv4_launch.catalog.models import variants
    from dsv4_launch.catalog.releases import nearest_release
    from dsv4_launch.catalog.version import newer_or_same
    from dsv4_launch.plan.fit.recommend import recommend
    from dsv4_launch.values import listed

    kind, variant = gpu_types().get(gpu), variants().get(model)
    release, exact = nearest_release(vllm)
    if kind is None or kind.unsupported or not kind.memory_mib:
        usable = [key for key, g in gpu_types().items() if not g.unsupported and g.memory_mib]
        raise InputError(f"--gpu {gpu} is no GPU that can be planned for.", fix=f"Known: {listed(usable)}.")
    if variant is None:
        raise InputError(f"--model {model} is not in the catalog.", fix=f"Known: {listed(variants())}.")
    if not newer_or_same(vllm, variant.min_vllm):
        raise ImpossibleError(f"vLLM {vllm} cannot serve {variant.title}: {variant.min_vllm} is the first that does.")
    if context > variant.max_model_len:
        raise ImpossibleError(
            f"--context {context:,} is longer than the model's {variant.max_model_len:,} tokens.",
            fix=f"Ask for {variant.max_model_len} at most.",
        )
    if not exact:
        show.note(f"vLLM {vllm} is not a release that is known here; it is planned as {release.version}")
    choices = recommend(
        kind, variant, release.version, gpus=gpus, context=context, concurrency=concurrency, objective=objective
    )
    if not choices:
        raise ImpossibleError(
            f"No layout on {gpus} {kind.title} holds {counted(concurrency, 'request')} of {context:,} tokens at once.",
            fix="Fewer or shorter requests, or more GPUs; waiting requests are queued by the server.",
            code="memory",
        )
    head = {"model": model, "vllm": vllm, "gpu": gpu}
    configs = [{"name": f"{model}-{gpu}-{choice.layout}", **head, **choice.patch} for choice in choices]
    if output is options.Output.json:
        found = [{**_as_data(choice), "config": config} for choice, config in zip(choices, configs, strict=True)]
        show.envelope("recommend", 0, {"choices": found})
    else:
        fit_show.show_choices(choices, configs[0])
    return 0


def _as_data(choice: Any) -> dict[str, Any]:
    return {field.name: getattr(choice, field.name) for field in fields(choice)}
