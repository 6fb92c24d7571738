"""What `dsv4 bench tune` does: for each configuration launch, measure and stop, by the ways of every other command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dsv4_launch.bench import tune as pure
from dsv4_launch.bench.workload import plan_points
from dsv4_launch.cli import options, show
from dsv4_launch.cli.bench import benching, ending, reaching
from dsv4_launch.cli.bench.asked import Asked, plan_sweep
from dsv4_launch.cli.bench.live import PlainLive
from dsv4_launch.cli.configs import load_config
from dsv4_launch.cli.serve import serving
from dsv4_launch.config.load import to_data
from dsv4_launch.config.write import entry_lines
from dsv4_launch.errors import Dsv4Error, ImpossibleError, InputError, Problem, ServerError, SmokeError, UsageError
from dsv4_launch.run.bench import store
from dsv4_launch.values import counted, nearest

if TYPE_CHECKING:
    from dsv4_launch.bench.tune import Best, Candidate, Scored, Tune
    from dsv4_launch.config.load import Loaded
    from dsv4_launch.plan.types import Plan

TUNE, BEST = "tune.json", "best.yaml"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is tuned."""

    config: str | None
    vary: tuple[str, ...]
    overrides: tuple[str, ...]
    directory: str | None
    resume: str | None
    ready_timeout_s: float | None


def tune(wanted: Wanted, asked: Asked, output: options.Output) -> int:
    """Try all candidates that are left; returns the exit code. Raises what a launch and a sweep raise."""
    from dsv4_launch.run.interrupts import terminate_as_interrupt

    if asked.target is not None:
        wanted = replace(wanted, overrides=(*wanted.overrides, f"target={{type: {asked.target}}}"))
    folder, doc = _begin(wanted, asked)
    doc = _judge_all(doc)
    terminate_as_interrupt()
    with store.locked(folder):
        _save(folder, doc)
        for candidate in doc.candidates:
            if candidate.state == "planned":
                done = _try(folder, doc, candidate, wanted, asked)
                doc = doc.model_copy(
                    update={"candidates": tuple(done if c.key == done.key else c for c in doc.candidates)}
                )
                _save(folder, doc)
        doc = _rank(folder, doc)
        _save(folder, doc)
        if doc.winner is not None:
            _write_best(folder, doc)
    if output is not options.Output.json:
        _tell(folder, doc)
    drawn = None
    if asked.report and any(candidate.state == "measured" for candidate in doc.candidates):
        show.note("Drawing the report")
        drawn = ending.draw(folder, benching.redraw(folder))
    if output is options.Output.json:
        data = {"dir": str(folder), **doc.model_dump(mode="json"), "report": drawn}
        show.envelope("bench", _exit_code(doc), data)
    elif not _exit_code(doc):
        benching.tell_report(folder, drawn)
    if _exit_code(doc) and output is not options.Output.json:
        raise _nothing(doc)
    return _exit_code(doc)


def _begin(wanted: Wanted, asked: Asked) -> tuple[Path, Tune]:
    if wanted.resume is not None:
        if wanted.vary or wanted.config is not None or wanted.directory is not None:
            raise UsageError("--resume goes on as it was asked for: leave config, --vary and --dir out.")
        path = Path(wanted.resume) / TUNE
        if not path.is_file():
            raise InputError("There is no tuning here.", where=str(path), fix="`dsv4 bench tune --dir` begins one.")
        return Path(wanted.resume), pure.parse_tune(path.read_bytes(), str(path))
    loaded = load_config(wanted.config, wanted.overrides)
    found = pure.candidates(wanted.vary)
    folder = Path(wanted.directory or f"bench/tune-{loaded.config.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    if (folder / TUNE).exists():
        raise InputError(
            "There is a tuning in this directory already.", where=str(folder), fix="--resume goes on with it."
        )
    workload, method, points = plan_sweep(asked)
    return folder, pure.Tune(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        dsv4=version("dsv4-launch"),
        config=_text(loaded),
        axes=wanted.vary,
        workload=workload,
        method=method,
        concurrency=tuple(sorted({point.concurrency for point in points})),
        candidates=found,
    )


def _loaded(doc: Tune, candidate: Candidate) -> Loaded:
    from dsv4_launch.config.load import load

    return load(doc.config, "tuned config", candidate.overrides)


def _judge_all(doc: Tune) -> Tune:
    """Skip what is not valid or cannot fit, and say so, before anything is launched.

    Raises InputError when no candidate is valid: a misspelt name is no measurement to keep.
    """
    judged = [_judge(doc, c) if c.state == "planned" else (c, None) for c in doc.candidates]
    wrong = [error for _, error in judged if isinstance(error, InputError)]
    if len(wrong) == len(judged):
        problems = (problem for error in wrong for problem in error.problems)
        raise InputError(*dict.fromkeys(_as_varied(one) for one in problems))
    for candidate, error in judged:
        if error is not None:
            show.note(f"{candidate.key} {_label(candidate)}: skipped: {show.clean(candidate.why)}")
    return doc.model_copy(update={"candidates": tuple(candidate for candidate, _ in judged)})


def _as_varied(problem: Problem) -> Problem:
    """A problem at ``--set engine.x`` as it was written: at ``--vary x``."""
    if not problem.where.startswith("--set "):
        return problem
    path = problem.where.removeprefix("--set ").removeprefix("engine.")
    head, dot, rest = path.partition(".")
    meant = nearest(head, pure.TOP) if problem.code == "flag-unknown" else None
    fix = f"Did you mean {meant}{dot}{rest}?" if meant and not problem.fix.startswith("Did you") else problem.fix
    return replace(problem, where=f"--vary {path}", fix=fix)


def _judge(doc: Tune, candidate: Candidate) -> tuple[Candidate, Dsv4Error | None]:
    """A candidate with its GPUs and free memory, or skipped and the reason."""
    from dsv4_launch.plan.fit.planner import answer, misfit
    from dsv4_launch.plan.fit.question import question
    from dsv4_launch.plan.resolve import resolve

    try:
        plan = resolve(_loaded(doc, candidate))
        asked = question(plan)
        found = answer(asked) if asked is not None else None
        problem = misfit(asked, found) if asked is not None and found is not None else None
        if problem is not None:
            raise ImpossibleError(problem)
    except (InputError, ImpossibleError) as error:
        why = f"{error.problems[0].message} {error.problems[0].fix}".strip()
        return candidate.model_copy(update={"state": "skipped", "why": why}), error
    free = found.available_kv_gib if found is not None else None
    free_gib = None if free is None else max(0.0, round(free, 2))
    return candidate.model_copy(update={"gpus": plan.gpus.count, "free_gib": free_gib}), None


def _try(folder: Path, doc: Tune, candidate: Candidate, wanted: Wanted, asked: Asked) -> Candidate:
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run import claim
    from dsv4_launch.run.interrupts import deaf
    from dsv4_launch.run.lifecycle import serve
    from dsv4_launch.run.world import Options
    from dsv4_launch.targets import render

    plan = resolve(_loaded(doc, candidate))
    show.note(f"{candidate.key} {_label(candidate)}")
    world = serving.world(plan.target)
    ours = world.driver.find(plan.name) is None
    try:
        chosen = Options(timeout_s=wanted.ready_timeout_s, on_failure="remove")
        outcome = serve(plan, render(plan), world, chosen, serving.progress())
        ours = ours or outcome.state != "already-ready"
        _measure(folder, doc, candidate, plan, asked)
    except (ServerError, SmokeError) as error:
        why = error.problems[0].message
        show.note(f"{candidate.key}: failed: {show.clean(why)}")
        return candidate.model_copy(update={"state": "failed", "why": why})
    finally:
        if ours:
            with deaf():
                claim.stop(world.driver, plan.name)
    return candidate.model_copy(update={"state": "measured", "why": ""})


def _measure(folder: Path, doc: Tune, candidate: Candidate, plan: Plan, asked: Asked) -> None:
    own = folder / candidate.key
    begun = (own / store.RUN).exists()
    mine = replace(
        asked,
        name=plan.name,
        target=plan.target,
        resume=str(own) if begun else None,
        note=f"{_label(candidate)}",
    )
    points = plan_points(doc.workload, doc.method, doc.concurrency)
    server = reaching.find(plan.name, None, None, None, plan.target)
    client = reaching.client_of(server, asked.client_python, asked.client_image)
    again = shlex.join(["dsv4", "bench", "tune", "--resume", str(folder), *benching.client_words(asked)])
    benching.measure(own, mine, server, client, (doc.workload, doc.method, points), PlainLive(), again)


def _rank(folder: Path, doc: Tune) -> Tune:
    found = _scored(folder, doc)
    front = pure.pareto(best for one in found for best in pure.score(one))
    return doc.model_copy(update={"pareto": front, "winner": pure.winner(found, doc.method.slo)})


def _scored(folder: Path, doc: Tune) -> list[Scored]:
    return [pure.Scored(c, store.load(folder / c.key).points) for c in doc.candidates if c.state == "measured"]


def _write_best(folder: Path, doc: Tune) -> None:
    """The winner's config, from which a launch makes the very same server."""
    best = next(c for c in doc.candidates if doc.winner is not None and c.key == doc.winner.key)
    head = f"# The best of {counted(len(doc.candidates), 'configuration')}: {_label(best)}\n"
    store.replace_text(folder / BEST, head + _text(_loaded(doc, best)))


def _text(loaded: Loaded) -> str:
    """A config as YAML."""
    lines = [line for key, value in to_data(loaded.config).items() for line in entry_lines(key, value, 0, 2)]
    return "\n".join(lines) + "\n"


def _save(folder: Path, doc: Tune) -> None:
    store.replace_text(folder / TUNE, pure.dump_tune(doc))


def _exit_code(doc: Tune) -> int:
    states = {candidate.state for candidate in doc.candidates}
    if "measured" in states:
        return 0
    return 7 if "failed" in states else 4


def _nothing(doc: Tune) -> Dsv4Error:
    bad = [c for c in doc.candidates if c.state != "measured"]
    kind = ServerError if any(c.state == "failed" for c in bad) else ImpossibleError
    return kind("None of the configurations could be measured.", where=bad[0].key, fix=bad[0].why)


def _label(candidate: Candidate) -> str:
    return " ".join(word.removeprefix("engine.") for word in candidate.overrides)


_WIDTHS = (9, 9, 8, 9, 11)


def _tell(folder: Path, doc: Tune) -> None:
    scored = sorted((b for one in _scored(folder, doc) for b in pure.score(one)), key=lambda b: b.per_gpu)
    best = {one.key: one for one in scored}
    show.say(_row("", "state", ("tok/s", "per GPU", "at conc", "TTFT ms", "tok/s/user"), "configuration"))
    for candidate in doc.candidates:
        show.say(_row(candidate.key, candidate.state, _cells(best.get(candidate.key)), show.clean(_label(candidate))))
        if candidate.why:
            show.say(f"     {show.clean(candidate.why)}")
    _tell_winner(folder, doc)


def _cells(best: Best | None) -> tuple[str, ...]:
    if best is None:
        return ("-",) * len(_WIDTHS)
    figures = (f"{best.total_throughput:.0f}", f"{best.per_gpu:.0f}", str(best.concurrency))
    return (*figures, f"{best.ttft_ms:.0f}", f"{best.user:.1f}")


def _row(key: str, state: str, cells: tuple[str, ...], label: str) -> str:
    figures = " ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return f"{key:4} {state:9} {figures}  {label}"


def _tell_winner(folder: Path, doc: Tune) -> None:
    if doc.pareto:
        show.say("pareto: " + ", ".join(f"{b.key} at {b.concurrency}" for b in doc.pareto))
    if doc.winner is not None:
        show.say(f"best: {doc.winner.key} at concurrency {doc.winner.concurrency}; its config is {folder / BEST}")
    elif any(c.state == "measured" for c in doc.candidates):
        show.say("best: none keeps the SLO without a failed request.")
