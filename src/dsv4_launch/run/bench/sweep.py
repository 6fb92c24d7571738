"""A sweep: point after point into a run directory. It can be killed at any moment and taken up again."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from dsv4_launch.bench.client import advice
from dsv4_launch.bench.point import Point
from dsv4_launch.bench.results import Fingerprint, Planned, Run, Side
from dsv4_launch.bench.stop import Stop, seconds_left, stop
from dsv4_launch.errors import InputError, Interrupted, ServerError, SmokeError, ToolError
from dsv4_launch.run.bench import store
from dsv4_launch.run.bench.point import Bench, Phase, clear, take
from dsv4_launch.values import counted


class Live(Protocol):
    """Where a sweep tells how it goes."""

    def planned(self, todo: Sequence[Planned], done: Sequence[store.Measured], eta_s: float | None) -> None:
        """What is left, and what was measured before."""

    def point(self, planned: Planned, phase: Phase, done: int, total: int) -> None:
        """How far the present point is."""

    def measured(self, planned: Planned, side: Side, point: Point | None, eta_s: float | None) -> None:
        """A point is over; how long the rest will take."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def close(self) -> None:
        """Nothing moves any more."""


@dataclass(frozen=True, slots=True)
class Swept:
    """How a sweep ended that was not cut off: its results, and whether a stop rule ended it."""

    results: store.Results
    state: Literal["complete", "stopped"]
    why: str = ""


def start(folder: Path, run: Run) -> None:
    """A new run directory. Raises InputError when there is one already, HostError when it cannot be written."""
    if (folder / store.RUN).exists():
        raise InputError(
            "There is a benchmark run in this directory already.",
            where=str(folder / store.RUN),
            fix="Go on with it: --resume. Or name another directory with --dir.",
            code="bench-exists",
        )
    store.write_run(folder, run)


def same_server(before: Run, now: Fingerprint, plan_digest: str, model: str) -> tuple[str, ...]:
    """What is not as it was when the run began: points of two servers do not belong into one run.

    A client whose vLLM could not be told, then or now, is taken for the same.
    """
    then = before.fingerprint
    pairs = (
        ("model", before.model, model),
        ("plan digest", before.plan_digest, plan_digest),
        ("vLLM", then.vllm, now.vllm),
        ("image digest", then.image_digest, now.image_digest),
        ("driver", then.driver, now.driver),
        ("GPUs", ", ".join(g.name for g in then.gpus), ", ".join(g.name for g in now.gpus)),
        ("client's vLLM", then.client_vllm or now.client_vllm, now.client_vllm or then.client_vllm),
    )
    return tuple(f"{name}: {old or 'none'} then, {new or 'none'} now" for name, old, new in pairs if old != new)


def sweep(folder: Path, bench: Bench, live: Live, again: str) -> Swept:
    """Measure the missing points of a run directory. ``again`` is the command that goes on with them.

    Raises ServerError (the server died: exit 7), ToolError (the client cannot run), SmokeError (no request of any point
    was completed), Interrupted. Whatever is raised, each point is whole or not there, and `--resume` goes on.
    """
    clear(folder / store.POINTS)
    try:
        swept = _sweep(folder, bench, live, again)
    except KeyboardInterrupt:
        live.close()
        _end(folder, bench.run, "interrupted", "Ctrl-C")
        kept = len(store.load(folder).points)
        raise Interrupted(
            f"Interrupted; {kept} of {counted(len(bench.run.points), 'point')} measured and kept.",
            where=str(folder),
            fix=_next(folder, again, kept),
        ) from None
    live.close()
    _end(folder, bench.run, swept.state, swept.why)
    results = store.load(folder)
    if not any(point.completed for point in results.points):
        raise SmokeError(
            "Not one request of any point was completed.", where=bench.url, fix=_first_error(results), code="bench-none"
        )
    return Swept(results, swept.state, swept.why)


def _sweep(folder: Path, bench: Bench, live: Live, again: str) -> Swept:
    results = store.load(folder)
    points, overheads = list(results.points), _overheads(results)
    method = bench.run.method
    todo = left(results.missing(), stop(method, points))
    live.planned(todo, results.measured, _eta(todo, points, overheads, method.rest_s))
    while todo:
        planned = todo[0]
        taken = take(bench, planned, folder / store.POINTS, lambda *how, of=planned: live.point(of, *how))
        store.write_point(folder, taken.side, taken.result, taken.samples)
        if taken.dead:
            live.close()
            _end(folder, bench.run, "failed", taken.dead)
            raise ServerError(
                f"At concurrency {planned.concurrency} {taken.dead}.",
                where=bench.url,
                fix=f"{_why(bench.run)} {_next(folder, again, len(points))}".strip(),
                code="bench-server-died",
            )
        if taken.crashed:
            live.close()
            _end(folder, bench.run, "failed", taken.side.why)
            raise ToolError(
                f"The client gave up: {taken.crashed}",
                where=bench.client.what,
                fix=f"{advice(taken.crashed)} {_next(folder, again, len(points))}".strip(),
                code="bench-client",
            )
        if taken.point is not None:
            points.append(taken.point)
            overheads.append(taken.side.seconds - taken.point.duration_s)
        todo = left(todo[1:], stop(method, points))
        live.measured(planned, taken.side, taken.point, _eta(todo, points, overheads, method.rest_s))
        if todo and method.rest_s:
            time.sleep(method.rest_s)
    results = store.load(folder)
    stopped = stop(method, results.points)
    if stopped is not None and len(left(results.missing(), None)):
        return Swept(results, "stopped", stopped.why)
    return Swept(results, "complete")


def left(missing: Sequence[Planned], stopped: Stop | None) -> tuple[Planned, ...]:
    """The missing points that are still to be measured."""
    return tuple(p for p in missing if stopped is None or p.concurrency <= stopped.concurrency)


def _eta(todo: Sequence[Planned], points: Sequence[Point], overheads: Sequence[float], rest_s: float) -> float | None:
    overhead_s = sum(overheads) / len(overheads) if overheads else 0.0
    return seconds_left(todo, points, overhead_s, rest_s)


def _overheads(results: store.Results) -> list[float]:
    return [m.side.seconds - m.point.duration_s for m in results.measured if m.side is not None and m.point is not None]


def _end(folder: Path, run: Run, state: Literal["complete", "stopped", "interrupted", "failed"], why: str) -> None:
    store.write_run(folder, run.model_copy(update={"state": state, "why": why}))


def _next(folder: Path, again: str, kept: int) -> str:
    """How to go on, and how to look at what there is."""
    drawn = f" `{shlex.join(['dsv4', 'bench', 'report', str(folder)])}` draws what there is." if kept else ""
    return f"`{again}` goes on with the missing points.{drawn}"


def _why(run: Run) -> str:
    return f"`dsv4 diagnose {run.name}` says why." if run.name else ""


def _first_error(results: store.Results) -> str:
    for found in results.measured:
        for error in found.side.errors if found.side is not None else ():
            return f"The first requests said: {error}"
    return ""
