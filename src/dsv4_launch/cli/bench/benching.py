"""What `dsv4 bench run` does: find server and client, plan or read the run, measure, and print what came of it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsv4_launch.bench.client import Place
from dsv4_launch.bench.results import Fingerprint, Method, Planned, Run, Workload
from dsv4_launch.cli import options, show
from dsv4_launch.cli.bench import ending, reaching
from dsv4_launch.cli.bench.asked import Asked, plan_sweep, read_dataset
from dsv4_launch.cli.bench.live import HEADS, PlainLive, Table, line, row
from dsv4_launch.errors import InputError, UsageError
from dsv4_launch.run.bench import store
from dsv4_launch.run.bench.point import Bench, now
from dsv4_launch.run.bench.sweep import Live, Swept, same_server, start, sweep
from dsv4_launch.values import counted

if TYPE_CHECKING:
    from dsv4_launch.cli.bench.ending import Drawn
    from dsv4_launch.cli.bench.reaching import Server
    from dsv4_launch.run.bench.client import Client


def run(asked: Asked, output: options.Output) -> int:
    """Measure; returns the exit code. Raises what the sweep, the server's look-up and the planning raise."""
    from dsv4_launch.run.interrupts import terminate_as_interrupt

    before = None if asked.resume is None else _before(asked)
    workload, method, points = plan_sweep(asked) if before is None else (before.workload, before.method, before.points)
    asked = asked if before is None else going_on(asked, before)
    preferred = before.model if before is not None else ""
    server = reaching.find(asked.name, asked.url, asked.model, asked.key_env, asked.target, preferred)
    client = reaching.client_of(server, asked.client_python, asked.client_image)
    if asked.estimate:
        return _estimate(server, workload, method, points, output)
    terminate_as_interrupt()
    folder = Path(asked.resume or asked.directory or _folder(server))
    live = Table(show.console(stderr=True)) if _terminal() else PlainLive()
    swept = measure(folder, asked, server, client, (workload, method, points), live, again(folder, asked))
    if output is not options.Output.json:
        tell(swept)
    drawn = None
    if asked.report:
        show.note("Drawing the report")
        drawn = ending.draw(folder, redraw(folder))
    if output is options.Output.json:
        show.envelope("bench", 0, {**as_data(folder, swept), "report": drawn})
    else:
        tell_report(folder, drawn)
    return 0


def measure(
    folder: Path,
    asked: Asked,
    server: Server,
    client: Client,
    planned: tuple[Workload, Method, tuple[Planned, ...]],
    live: Live,
    again: str,
) -> Swept:
    """Measure into a folder: a new run, or the rest of one that is there. ``again`` is the command that goes on."""
    from dsv4_launch.host.gpu_load import GpuWatch
    from dsv4_launch.host.system import read_system
    from dsv4_launch.run.bench.fingerprint import fingerprint

    gpus = GpuWatch() if server.local else None
    system = read_system(lambda *_: None) if server.local else None
    with store.locked(folder):
        engine = reaching.engine_for(server)
        print_ = fingerprint(server.seen, server.url, server.key, client, gpus, system, engine, os.environ)
        if asked.resume is not None:
            record = store.load(folder).run
            changed = same_server(record, print_, _digest(server), server.model)
            if changed:
                raise InputError(
                    f"The server is not the one that this run began with: {'; '.join(changed)}.",
                    where=str(folder / store.RUN),
                    fix="Begin another run, and compare the two: `dsv4 bench compare`.",
                    code="bench-other-server",
                )
        else:
            record = new_run(asked, server, print_, planned)
            start(folder, record)
        tokenizer = reaching.tokenizer(server, client, asked.tokenizer)
        if client.inside and not client.container and Path(tokenizer).is_dir():
            tokenizer = str(Path(tokenizer).resolve())
            client = replace(client, model_dir=tokenizer)
        place = Place(
            reaching.address(server, client),
            server.model,
            tokenizer,
            "",
            trust_remote_code=reaching.trusts(server),
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
        return sweep(folder, bench, live, again)


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


def _before(asked: Asked) -> Run:
    folder = Path(asked.resume or "")
    if asked.directory is not None:
        raise UsageError("--resume names the directory itself: leave --dir out.")
    run = store.load(folder).run
    if run.workload.dataset_format != "random":
        now_ = read_dataset(Path(run.workload.dataset), run.workload.output_len)
        if now_["dataset_sha256"] != run.workload.dataset_sha256:
            raise InputError(
                "The data set is not the one that this run began with.",
                where=run.workload.dataset,
                code="bench-other-server",
            )
    return run


def going_on(asked: Asked, run: Run) -> Asked:
    """A command line that takes up a run, with that run's server where it names none."""
    if asked.name is not None or asked.url is not None:
        return asked
    if run.name:
        return replace(asked, name=run.name, target=asked.target or run.fingerprint.target or None)
    return replace(asked, url=run.url)


def again(folder: Path, asked: Asked) -> str:
    """The command that goes on with this run: what the run itself does not keep has to be said once more."""
    name = [asked.name] if asked.name is not None else []
    where = _said(("--url", asked.url), ("--model", asked.model), ("--target", asked.target))
    return shlex.join(["dsv4", "bench", "run", *name, "--resume", str(folder), *where, *client_words(asked)])


def client_words(asked: Asked) -> list[str]:
    """The options that say where the load comes from, and with which key."""
    return _said(
        ("--key-env", asked.key_env),
        ("--tokenizer", asked.tokenizer),
        ("--client-python", asked.client_python),
        ("--client-image", asked.client_image),
    )


def _said(*options: tuple[str, str | None]) -> list[str]:
    return [word for option, value in options if value is not None for word in (option, value)]


def redraw(folder: Path) -> str:
    """The command that draws this run."""
    return shlex.join(["dsv4", "bench", "report", str(folder)])


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
    from dsv4_launch.run.bench.estimate import probe
    from dsv4_launch.run.progress import clock_text

    show.note("Probing the server with a few short requests")
    probes = probe(server.url, server.key, server.model, workload, max(point.concurrency for point in points))
    found = estimate(points, workload, method, probes)
    if output is options.Output.json:
        show.envelope("bench", 0, {"estimate": found, "probes": probes})
        return 0
    for key, low_s, high_s in found.points:
        show.say(f"{key}  {clock_text(low_s):>9} to {clock_text(high_s)}")
    span = f"between {clock_text(found.low_s)} and {clock_text(found.high_s)}"
    show.say(f"The sweep of {counted(len(points), 'point')} takes {span}.")
    if found.high_s > 3600:
        show.note("hint: fewer points (--concurrency) or less volume (--total-tokens) make it shorter.")
    return 0


def as_data(folder: Path, swept: Swept) -> dict[str, Any]:
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


def tell(swept: Swept) -> None:
    """The table of all points, and what to mind."""
    rows = [row(m.planned.key, m.point, m.side) for m in swept.results.measured if m.side is not None]
    show.say(line(HEADS))
    for cells in rows:
        show.say(line(cells))
    if swept.state == "stopped":
        show.say(f"Stopped: {show.clean(swept.why)}.")
    limited = [m.planned for m in swept.results.measured if m.side is not None and m.side.client.verdict == "client"]
    if limited:
        where = ", ".join(map(str, sorted({planned.concurrency for planned in limited})))
        show.note(
            f"warning: in {len(limited)} of {counted(len(rows), 'point')} (concurrency {where}) the client, not the "
            "server, was the limit: those figures are its own"
        )
        show.note("  hint: a faster or idle client machine, --client-python elsewhere, or a lower concurrency.")


def tell_report(folder: Path, drawn: Drawn | None) -> None:
    """Where report and results lie; why a report is not there, or not all of it."""
    if drawn is not None and drawn.why:
        missing = "its charts could not be drawn" if drawn.files else "it could not be written"
        show.note(f"warning: the report is not whole: {missing}: {show.clean(drawn.why)}")
    if drawn is not None and drawn.files:
        show.say(f"Report: {show.clean(ending.told(drawn.files))}")
    whole = drawn is not None and not drawn.why
    show.say(f"Results: {folder}" if whole else f"Results: {folder}; `{redraw(folder)}` draws them.")
