"""What `dsv4 bench run` does: find server and client, plan or read the run, measure, and print what came of it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dsv4_launch.bench import dataset as datasets
from dsv4_launch.bench.client import Place
from dsv4_launch.bench.limits import parse_slo
from dsv4_launch.bench.results import Fingerprint, Method, Planned, Run, Workload
from dsv4_launch.bench.workload import (
    PRESETS,
    REQUESTS_PER_CONCURRENCY,
    TOTAL_TOKENS,
    parse_concurrencies,
    plan_points,
)
from dsv4_launch.cli import bench_live, bench_server, options, show
from dsv4_launch.errors import InputError, UsageError
from dsv4_launch.run import bench_store as store
from dsv4_launch.run import bench_sweep
from dsv4_launch.run.bench_point import Bench, now

if TYPE_CHECKING:
    from dsv4_launch.cli.bench_server import Server
    from dsv4_launch.run.bench_client import Client

_HEAD_BYTES = 1_000_000


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
    target: str | None = None


def run(asked: Asked, output: options.Output) -> int:
    """Measure; returns the exit code. Raises what the sweep, the server's look-up and the planning raise."""
    from dsv4_launch.run.interrupts import terminate_as_interrupt

    workload, method, points = plan(asked) if asked.resume is None else _planned_before(asked)
    server = bench_server.find(asked.name, asked.url, asked.model, asked.key_env, asked.target)
    client = bench_server.client_of(server, asked.client_python, asked.client_image)
    if asked.estimate:
        return _estimate(server, workload, method, points, output)
    terminate_as_interrupt()
    folder = Path(asked.resume or asked.directory or _folder(server))
    live = bench_live.Table(show.console(stderr=True)) if _terminal() else bench_live.PlainLive()
    swept = measure(folder, asked, server, client, (workload, method, points), live)
    if output is options.Output.json:
        show.envelope("bench run", 0, as_data(folder, swept))
        return 0
    tell(folder, swept)
    return 0


def measure(
    folder: Path,
    asked: Asked,
    server: Server,
    client: Client,
    planned: tuple[Workload, Method, tuple[Planned, ...]],
    live: bench_sweep.Live,
) -> bench_sweep.Swept:
    """Measure into a folder: a new run, or the rest of one that is there."""
    from dsv4_launch.host.gpu_load import GpuWatch
    from dsv4_launch.host.system import read_system
    from dsv4_launch.run.bench_fingerprint import fingerprint

    gpus = GpuWatch() if server.local else None
    system = read_system(lambda *_: None) if server.local else None
    with store.locked(folder):
        engine = bench_server.engine_for(server)
        print_ = fingerprint(server.seen, server.url, server.key, client, gpus, system, engine, os.environ)
        if asked.resume is not None:
            record = store.load(folder).run
            changed = bench_sweep.same_server(record, print_, _digest(server), server.model)
            if changed:
                raise InputError(
                    f"The server is not the one that this run began with: {'; '.join(changed)}.",
                    where=str(folder / store.RUN),
                    fix="Begin another run, and compare the two: `dsv4 bench compare`.",
                    code="bench-other-server",
                )
        else:
            record = new_run(asked, server, print_, planned)
            bench_sweep.start(folder, record)
        place = Place(
            bench_server.address(server, client),
            server.model,
            bench_server.tokenizer(server, client, asked.tokenizer),
            "",
            trust_remote_code=bench_server.trusts(server),
        )
        data = record.workload.dataset if record.workload.dataset_format != "random" else ""
        bench = Bench(
            run=record.model_copy(update={"state": "running", "why": ""}),
            client=client,
            place=place,
            dataset=data,
            url=server.url,
            key=server.key,
            environ=dict(os.environ),
            gpus=gpus,
            detailed=asked.detailed,
        )
        return bench_sweep.sweep(folder, bench, live)


def new_run(
    asked: Asked,
    server: Server,
    print_: Fingerprint,
    planned: tuple[Workload, Method, tuple[Planned, ...]],
) -> Run:
    """The document of a run that begins now."""
    workload, method, points = planned
    return Run(
        id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}",
        created=now(),
        dsv4=print_.dsv4,
        name=server.seen.name if server.seen is not None else "",
        note=asked.note,
        url=server.url,
        model=server.model,
        plan_digest=_digest(server),
        config=dict(server.seen.config) if server.seen is not None else {},
        fingerprint=print_,
        workload=workload,
        method=method,
        points=points,
    )


def lengths(preset: str, input_len: int | None, output_len: int | None, dataset: str | None) -> tuple[int, int]:
    """Input and output length as asked, else of the preset; a data set has its own."""
    if dataset is not None:
        if input_len is not None:
            raise UsageError("A data set says how long its prompts are: --input-len does not go with --dataset.")
        return 0, output_len or 0
    ins, outs = PRESETS[preset]
    return input_len or ins, output_len or outs


def plan(asked: Asked) -> tuple[Workload, Method, tuple[Planned, ...]]:
    """Workload, method and points of a command line. Raises UsageError, InputError (data set)."""
    if asked.total_tokens is not None and asked.per_concurrency is not None:
        raise UsageError("--total-tokens and --requests-per-concurrency exclude each other.")
    ins, outs = asked.lengths
    shape: dict[str, Any] = {"input_len": ins, "output_len": outs}
    each = asked.per_concurrency or 0
    if asked.dataset is not None:
        if asked.total_tokens is not None:
            raise UsageError("Of a data set nobody knows the tokens before: use --requests-per-concurrency.")
        shape |= _dataset(Path(asked.dataset), outs)
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


def _planned_before(asked: Asked) -> tuple[Workload, Method, tuple[Planned, ...]]:
    folder = Path(asked.resume or "")
    if asked.directory is not None:
        raise UsageError("--resume names the directory itself: leave --dir out.")
    run = store.load(folder).run
    if run.workload.dataset_format != "random":
        now_ = _dataset(Path(run.workload.dataset), run.workload.output_len)
        if now_["dataset_sha256"] != run.workload.dataset_sha256:
            raise InputError(
                "The data set is not the one that this run began with.",
                where=run.workload.dataset,
                code="bench-other-server",
            )
    return run.workload, run.method, run.points


def _dataset(path: Path, output_len: int) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"The data set cannot be read: {error.strerror}.", where=str(path)) from None
    found = datasets.check(str(path), head.decode("utf-8", "replace"), output_len=output_len)
    return {"dataset": str(path.resolve()), "dataset_format": found, "dataset_sha256": digest}


def _folder(server: Server) -> str:
    name = server.seen.name if server.seen is not None else "server"
    return f"bench/{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _digest(server: Server) -> str:
    return server.seen.digest if server.seen is not None else ""


def _terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _estimate(
    server: Server, workload: Workload, method: Method, points: Sequence[Planned], output: options.Output
) -> int:
    from dsv4_launch.bench.estimate import estimate
    from dsv4_launch.run.bench_estimate import probe
    from dsv4_launch.run.progress import clock_text

    show.note("Probing the server with a few short requests")
    probes = probe(server.url, server.key, server.model, workload, max(point.concurrency for point in points))
    found = estimate(points, workload, method, probes)
    if output is options.Output.json:
        show.envelope("bench run", 0, {"estimate": found, "probes": probes})
        return 0
    for key, low_s, high_s in found.points:
        show.say(f"{key}  {clock_text(low_s):>9} to {clock_text(high_s)}")
    show.say(
        f"The sweep of {len(points)} points takes between {clock_text(found.low_s)} and {clock_text(found.high_s)}."
    )
    if found.high_s > 3600:
        show.note("hint: fewer points (--concurrency) or less volume (--total-tokens) make it shorter.")
    return 0


def as_data(folder: Path, swept: bench_sweep.Swept) -> dict[str, Any]:
    """What a script gets: each point's figures, its verdict and its notes."""
    return {
        "dir": str(folder),
        "state": swept.state,
        "why": swept.why,
        "points": [
            {
                "key": one.planned.key,
                "point": one.point,
                "side": one.side.model_dump(mode="json") if one.side is not None else None,
            }
            for one in swept.results.measured
            if one.side is not None
        ],
    }


def tell(folder: Path, swept: bench_sweep.Swept) -> None:
    """The table of all points, what to mind, and what next."""
    rows = [bench_live.row(m.planned.key, m.point, m.side) for m in swept.results.measured if m.side is not None]
    show.say(bench_live.line(bench_live.HEADS))
    for row in rows:
        show.say(bench_live.line(row))
    if swept.state == "stopped":
        show.say(f"Stopped: {show.clean(swept.why)}.")
    limited = [
        m.planned.key for m in swept.results.measured if m.side is not None and m.side.client.verdict == "client"
    ]
    if limited:
        show.note(
            f"warning: at {', '.join(limited)} the client, not the server, was the limit: those figures are its own"
        )
        show.note("  hint: a faster or idle client machine, --client-python elsewhere, or a lower concurrency.")
    show.say(f"Results: {folder}; `dsv4 bench report {folder}` draws them.")
