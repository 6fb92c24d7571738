"""A run in words that a person reads: what stands beside its numbers, and what a stranger needs to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from dsv4_launch.bench.point import Point
from dsv4_launch.bench.results import Fingerprint, GpuPrint, Method, Planned, Run, Side, Workload
from dsv4_launch.bench.series import Sample, Series, sample
from dsv4_launch.values import counted

_ENDED = {"stopped": "was ended by a stop rule", "interrupted": "was interrupted", "failed": "failed"}
Measured = tuple[Planned, Side | None, Point | None]


def run_series(run: Run, measured: Iterable[Measured], label: str = "", problems: Iterable[str] = ()) -> Series:
    """The series of one of our runs. What is planned and not measured yet is no sample, and is said."""
    samples: list[Sample] = []
    open_points = []
    for planned, side, point in measured:
        if side is None:
            open_points.append(planned.key)
        else:
            samples.append(sample(planned.concurrency, planned.repeat, point, side))
    notes = [*problems]
    if open_points:
        notes.append(f"Not measured yet: {len(open_points)} of {counted(len(run.points), 'planned point')}.")
    if run.state not in ("complete", "running"):
        notes.append(f"The run {_ENDED[run.state]}{': ' + run.why if run.why else ''}.")
    return Series(
        label or run.name or run.id, "run", tuple(samples), gpus(run), facts(run), run=run, notes=tuple(notes)
    )


def gpus(run: Run) -> int:
    """GPUs that the server uses, as far as the run tells: the config's ranks, else all of the fingerprint."""
    parallel = run.config.get("parallel")
    if isinstance(parallel, dict):
        ranks = [value for key in ("tensor", "data", "pipeline") if isinstance(value := parallel.get(key, 1), int)]
        count = 1
        for rank in ranks:
            count *= rank
        if run.fingerprint.gpus and 0 < count <= len(run.fingerprint.gpus):
            return count
    return len(run.fingerprint.gpus)


def facts(run: Run) -> dict[str, str]:
    """What was measured, where and how; empty answers are left out."""
    print_ = run.fingerprint
    known = {
        "model": run.model,
        "workload": workload(run.workload),
        "method": method(run.method),
        "measured": run.created,
        "vLLM": print_.vllm,
        "image": " ".join(filter(None, (print_.image, print_.image_digest))),
        "target": print_.target,
        "GPUs": gpu_names(print_.gpus),
        "driver": print_.driver,
        "CUDA": print_.cuda,
        "CPU": f"{print_.cpu}, {print_.cores} cores" if print_.cpu and print_.cores else print_.cpu,
        "memory": f"{print_.memory_gib:.0f} GiB" if print_.memory_gib else "",
        "kernel": print_.kernel,
        "Python": print_.python,
        "load generator": _client(print_),
        "plan digest": run.plan_digest,
        "server command": shlex.join(print_.server_argv),
        "dsv4": run.dsv4,
        "note": run.note,
        "run": run.id,
    }
    return {name: text for name, text in known.items() if text}


def _client(print_: Fingerprint) -> str:
    client = f"vllm bench serve {print_.client_vllm}".strip()
    return f"{client} ({print_.client})" if print_.client else client


def gpu_names(found: Iterable[GpuPrint]) -> str:
    """``4 x NVIDIA B200, 1000 W, 1965 MHz``; kinds that differ stand beside one another."""
    counts: dict[str, int] = {}
    for gpu in found:
        limit = f", {gpu.power_limit_w:.0f} W" if gpu.power_limit_w else ""
        clock = f", {gpu.sm_clock_max_mhz} MHz" if gpu.sm_clock_max_mhz else ""
        name = f"{gpu.name or 'unnamed'}{limit}{clock}"
        counts[name] = counts.get(name, 0) + 1
    return "; ".join(f"{count} x {name}" for name, count in counts.items())


def workload(asked: Workload) -> str:
    """The workload in a line."""
    lengths = f"{asked.input_len or '?'} tokens in, {asked.output_len or '?'} out"
    if asked.total_tokens:
        volume = f"{asked.total_tokens:,} tokens a point"
    else:
        volume = (
            f"{counted(asked.requests_per_concurrency, 'request')} for each in flight"
            if asked.requests_per_concurrency
            else ""
        )
    shared = f"{asked.prefix_ratio:.0%} of the input shared" if asked.prefix_ratio else ""
    thinking = "" if asked.thinking is None else f"thinking {'on' if asked.thinking else 'off'}"
    parts = (asked.dataset, lengths, volume, shared, asked.api, thinking, f"seed {asked.seed}")
    return ", ".join(filter(None, parts))


def method(how: Method) -> str:
    """The method in a line."""
    slo = how.slo
    limits = (("TTFT", slo.ttft_ms), ("TPOT", slo.tpot_ms), ("E2E", slo.e2e_ms))
    service = ", ".join(f"{name} {limit:g} ms" for name, limit in limits if limit)
    parts = (
        f"warm-up {how.warmup_per_concurrency} x concurrency",
        counted(how.repeats, "repeat"),
        f"{how.rest_s:g} s rest",
        f"SLO: {service}" if service else "",
    )
    return ", ".join(filter(None, parts))
