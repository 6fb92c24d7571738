"""One point: start the client, look at server and GPUs while it runs, and say how it went."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from dsv4_launch.bench import client as words
from dsv4_launch.bench.gpu import Gpus
from dsv4_launch.bench.point import Point, error_counts, point
from dsv4_launch.bench.results import Client as ClientVerdict
from dsv4_launch.bench.results import Planned, Run, Server, Side
from dsv4_launch.bench.verdict import Watched, judge, watched
from dsv4_launch.deep.bench_client import SLEEP_S
from dsv4_launch.errors import InputError
from dsv4_launch.run.bench.client import RESULT, Client, Process, read_watch
from dsv4_launch.run.bench.sampler import Sampler
from dsv4_launch.run.endpoint import ask
from dsv4_launch.values import counted

# No request was finished and no token made for so long: the server hangs. One prompt of a million tokens takes 65 s on
# eight B200s (https://github.com/vllm-project/vllm/issues/51454), sixteen at once some minutes.
STALL_S = 900.0
# The server's /metrics failed so often in a row: it is asked whether it lives.
_SILENT = 3
_LOOK_S = 0.2
_SECOND_TRIES, _SECOND_TRY_S = 3, 1.0

Phase = Literal["starting", "warming up", "measuring"]
Tell = Callable[[Phase, int, int], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """What all points of a run share. ``url`` is the server as this process reaches it."""

    run: Run
    client: Client
    place: words.Place
    dataset: str
    url: str
    key: str
    environ: Mapping[str, str]
    gpus: Gpus | None = None
    detailed: bool | None = None
    every_s: float = 1.0
    stall_s: float = STALL_S


@dataclass(frozen=True, slots=True)
class Taken:
    """What a point left. ``dead``: why the server is taken for dead ("": it lives); ``crashed``: the client's words."""

    side: Side
    result: bytes | None
    samples: list[dict[str, Any]]
    point: Point | None = None
    dead: str = ""
    crashed: str = ""


def take(bench: Bench, planned: Planned, folder: Path, tell: Tell) -> Taken:
    """Measure one point. On KeyboardInterrupt the client is ended first, and nothing of the point remains."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{planned.key}-", dir=folder)).resolve()
    try:
        return _take(bench, planned, scratch, tell)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def clear(folder: Path) -> None:
    """Remove what a run that was killed left of its scratch folders."""
    for path in folder.glob(".c[0-9]*-r[0-9]*-*"):
        shutil.rmtree(path, ignore_errors=True)


def _take(bench: Bench, planned: Planned, scratch: Path, tell: Tell) -> Taken:
    workload, slo = bench.run.workload, bench.run.method.slo
    out, dataset = bench.client.paths(scratch, bench.dataset)
    place = words.Place(
        bench.place.base_url,
        bench.place.model,
        bench.place.tokenizer,
        out,
        dataset,
        bench.place.tokenizer_mode,
        bench.place.trust_remote_code,
    )
    detailed = words.in_detail(workload, planned, bench.detailed)
    line = words.bench_words(workload, planned, place, slo, RESULT, detailed=detailed)
    name = f"dsv4-bench-{os.getpid()}-{planned.key}"
    command = bench.client.command(line, scratch, bench.dataset, name, keyed=bool(bench.key))
    sampler = Sampler(bench.url, bench.key, bench.gpus, bench.every_s)
    began_s, started = time.monotonic(), now()
    process = Process(command, bench.client.variables(bench.environ, bench.key), name, scratch, bench.key)
    try:
        sampler.start()
        code, dead = _follow(process, sampler, bench, planned, tell)
    finally:
        process.end()
        sampler.stop()
    ended_s = time.time()
    result = _read(scratch / RESULT) if code == 0 else None
    found, raw = _point(planned, result)
    seen = Watched()
    if found is not None and sampler.marked_s:
        end_s = min(ended_s, sampler.marked_s + found.duration_s)
        seen = watched(read_watch(scratch), sampler.marked_s, end_s, SLEEP_S * 1000)
    if not dead and (found is None or found.failed) and not _alive(bench):
        dead = "the server does not answer any more"
    if not dead and sampler.restarted():
        dead = "the server was started again meanwhile"
    crashed = words.last_words(process.lines) if found is None and not dead else ""
    status, why = _status(found, dead, crashed, code)
    server = sampler.server()
    side = Side(
        key=planned.key,
        status=status,
        why=why,
        argv=tuple(command),
        started=started,
        finished=now(),
        seconds=round(time.monotonic() - began_s, 3),
        client=judge(seen, found, sampler.machine_cpu()) if found is not None else ClientVerdict(),
        server=server,
        gpus=sampler.loads(),
        errors=_errors(raw, found, process.lines),
        notes=_notes(bench.run, planned, found, raw, server),
    )
    return Taken(side, result, sampler.samples(), found, dead, crashed)


def _follow(process: Process, sampler: Sampler, bench: Bench, planned: Planned, tell: Tell) -> tuple[int | None, str]:
    """Read the client to its end: its exit code, and why the server is taken for dead ("" when it is not)."""
    phase: Phase = "starting"
    done, moved, moved_s = 0, (), time.monotonic()
    limit_s = bench.run.method.timeout_s
    began_s = moved_s

    def hear(text: str) -> None:
        nonlocal phase, done
        if words.MAIN_STARTS in text:  # a progress bar may stand before it on the same line
            phase, done = "measuring", 0
            sampler.mark()
            tell(phase, 0, planned.num_prompts)
        elif words.WARMING in text:
            phase = "warming up"
            tell(phase, 0, planned.warmups)
        elif (seen := words.bar(text)) is not None:
            done = seen[0]
            tell(phase, *seen)

    while True:
        code = process.pump(_LOOK_S, hear)
        if code is not None:
            return code, ""
        state = (phase, done, *sampler.moving())
        if state != moved:
            moved, moved_s = state, time.monotonic()  # type: ignore[assignment]
        if sampler.silent >= _SILENT and not _alive(bench):
            return None, "the server does not answer any more"
        if time.monotonic() - moved_s > bench.stall_s:
            return None, f"nothing was finished for {bench.stall_s:.0f} s: the server hangs"
        if limit_s and time.monotonic() - began_s > limit_s:
            return None, f"the point took longer than the {limit_s:g} s allowed"


def _alive(bench: Bench) -> bool:
    for attempt in range(_SECOND_TRIES):
        if attempt:
            time.sleep(_SECOND_TRY_S)
        if ask(bench.url, (), bench.key).verdict not in ("silent", "unhealthy"):
            return True
    return False


def _status(
    found: Point | None, dead: str, crashed: str, code: int | None
) -> tuple[Literal["ok", "failed", "interrupted"], str]:
    if dead:
        return "interrupted", dead
    if found is None:
        return "interrupted", f"the client ended with {code}: {crashed}"
    if not found.completed:
        return "failed", f"none of {counted(found.requests, 'request')} was completed"
    return "ok", ""


def _point(planned: Planned, result: bytes | None) -> tuple[Point | None, Mapping[str, Any]]:
    if result is None:
        return None, {}
    try:
        raw = json.loads(result)
        return point(planned, raw, planned.key), raw
    except (ValueError, InputError, AttributeError):
        return None, {}


def _errors(raw: Mapping[str, Any], found: Point | None, lines: list[str]) -> dict[str, int]:
    """Failed requests by what they said. Without a detailed result the client says ten of them; the rest is "other"."""
    counts = error_counts(raw) or dict(Counter(words.said_errors(lines)))
    rest = (found.failed if found else 0) - sum(counts.values())
    return {**counts, "other": rest} if rest > 0 else counts


def _notes(
    run: Run, planned: Planned, found: Point | None, raw: Mapping[str, Any], server: Server | None
) -> tuple[str, ...]:
    """What a reader of the figures should know."""
    notes = []
    if planned.num_prompts < 2 * planned.concurrency:
        notes.append("All requests start at once: this is a burst, not a steady load.")
    short = words.short_outputs(run.workload, raw)
    if short:
        notes.append(f"{counted(short, 'output token')} missing: streams that broke off were counted as completed.")
    if (length := words.other_input(run.workload, raw)) is not None:
        notes.append(f"A prompt had {length:.0f} tokens on average, not the {run.workload.input_len} asked for.")
    hits = server.prefix_hit_ratio if server else None
    if hits is not None and found is not None and hits > run.workload.prefix_ratio + 0.1:
        notes.append(f"{hits:.0%} of the prompt tokens came from the prefix cache.")
    if server and server.preemptions:
        notes.append(f"The server preempted {counted(round(server.preemptions), 'request')}: its KV cache was full.")
    return tuple(notes)


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None


def now() -> str:
    """The time as documents have it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
