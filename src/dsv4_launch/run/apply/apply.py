"""A running deployment changed for another plan: all that can fail early fails while the old one serves; else back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from dsv4_launch.checks.examine import blocking
from dsv4_launch.checks.selection import asked, gpu_places
from dsv4_launch.checks.without import Held, without
from dsv4_launch.errors import Dsv4Error, HostError, Interrupted, Problem, SmokeError
from dsv4_launch.run import claim
from dsv4_launch.run.apply.change import Applied, Change, Fallback, Judged
from dsv4_launch.run.apply.going_back import Work
from dsv4_launch.run.endpoint import ask
from dsv4_launch.run.fetch import fetch
from dsv4_launch.run.history.record import record, record_running, save_log
from dsv4_launch.run.interrupts import deaf, hold
from dsv4_launch.run.lifecycle import await_ready, judge, launch
from dsv4_launch.run.progress import Progress
from dsv4_launch.run.service import Seen, digest_of
from dsv4_launch.run.start.stage_times import StageTimes
from dsv4_launch.run.world import Options, World
from dsv4_launch.targets import render

# Somebody else came to have the name, with dsv4 or without it.
_THEIRS = frozenset({"name-taken", "foreign"})


def preflight(change: Change, world: World, options: Options, progress: Progress) -> Judged:
    """Judge the host for the new plan, as if the old service were gone. Raises HostError; nothing has changed then."""
    old, plan = change.old, change.plan
    held = Held(old.name if old.target == "docker" else "", change.driver.pids(old.name), _port(old))
    freed = replace(world, probe=lambda request: without(world.probe(request), held))
    wanted = asked(plan, world.environ)
    checks, facts = judge(wanted, freed, options.skips, progress)
    problems = [result.problem() for result in blocking(checks)]
    for needed in _missing_secrets(change.fallback, world.environ):
        problems.append(
            Problem(
                "secret-missing",
                f"What runs needs the variable {needed}, which is not set here: it could not be launched again.",
                needed,
                f"Export {needed}, or say --no-rollback.",
            )
        )
    if problems:
        raise HostError(*problems)
    return Judged(facts, gpu_places(wanted, facts))


def apply(
    change: Change, judged: Judged, worlds: Callable[[str], World], options: Options, progress: Progress
) -> Applied:
    """Make the change that was judged. When the new service fails the old plan is launched again.

    Raises what a launch raises, with a problem ``rolled-back`` or ``not-rolled-back`` behind it, and Interrupted.
    """
    plan, name = change.plan, change.old.name
    world = worlds(plan.target)
    started = time.monotonic()
    last = world.starts.last(digest_of(plan, render(plan))) if world.starts else {}
    times = StageTimes(time.monotonic, last, lambda stage: progress.say(stage.text))
    with contextlib.ExitStack() as held:
        try:
            fetch(plan, judged.facts, world, progress, times, pull=options.pull)
            held.enter_context(world.changing(name))
            _same_still(change)
            last_good_s = _good(change)
            if last_good_s is not None and (old := change.fallback) is not None and old.digest == change.old.digest:
                home, by = worlds(old.plan.target), f"seen before {options.by}"
                record_running(old.plan, old.digest, old.image, home, progress, by=by)
        except KeyboardInterrupt:
            progress.close()
            raise Interrupted(
                f"Interrupted before {name} was stopped; it serves as before, nothing was changed."
            ) from None
        done = _make(Work(change, judged, worlds, options, progress, last_good_s), world, times)
    return replace(done, seconds=round(time.monotonic() - started, 1))


def _make(work: Work, world: World, times: StageTimes) -> Applied:
    """Stop the old service, launch and test the new one; back, where that fails."""
    change, options, progress, last_good_s = work.change, work.options, work.progress, work.last_good_s
    plan, old, name = change.plan, change.old, change.old.name
    digest, up = digest_of(plan, render(plan)), None
    moment = f"while {name} was stopped"
    interrupted = _stop(change, world, progress)
    try:
        if interrupted:
            raise KeyboardInterrupt
        times.reach("launch", "creating the service")
        moment = f"while the new {name} started"
        launch(plan, render(plan), replace(world, places={**world.places, **work.judged.places}), progress)
        up = await_ready(plan, world, replace(options, on_failure="keep"), progress, times)
        first_good_s = time.monotonic()
        seen = change.smoke(plan)
        with deaf():
            record(plan, digest, world, progress, "healthy", by=options.by)
            if world.starts and up.stages:
                world.starts.record(digest, up.stages)
    except (Interrupted, KeyboardInterrupt):
        raise work.back(Interrupted(f"Interrupted {moment}.")) from None
    except SmokeError as error:
        with deaf():
            if up is not None:  # else it is written down already
                record(plan, digest, world, progress, "failed", by=options.by, why=str(error))
        raise work.back(error) from None
    except Dsv4Error as error:
        if any(problem.code in _THEIRS for problem in error.problems):
            raise  # somebody else launched under this name meanwhile: theirs is left alone
        raise work.back(error) from None
    return Applied(
        state="applied",
        name=plan.name,
        target=plan.target,
        base_url=plan.base_url,
        models=up.models or plan.served_model_names,
        digest=digest,
        replaced=old.digest,
        downtime_s=None if last_good_s is None else round(first_good_s - last_good_s, 1),
        smoke=seen,
        skipped=dict(options.skips),
    )


def _stop(change: Change, world: World, progress: Progress) -> bool:
    """Stop and remove the old service; True when Ctrl-C came meanwhile, which cannot unmake a stop."""
    old = change.old
    patience_s = claim.patience_s(old)
    done = False
    try:
        with hold() as held:
            progress.say(f"Stopping {old.name}: its requests have {patience_s:g} s to finish, new ones are refused")
            keep = lambda: save_log(change.driver, old.name, world.environ, progress) if change.save_log else ""  # noqa: E731
            claim.stop(change.driver, old.name, patience_s, keep)
            done = True
    except KeyboardInterrupt:
        if done:
            return True
        raise Interrupted(
            f"Interrupted twice while {old.name} was stopped: it was asked to end and serves no new requests. "
            f"`dsv4 status {old.name}` says whether it has ended; `dsv4 rollback {old.name}` launches it again."
        ) from None
    return held.came > 0


def _same_still(change: Change) -> None:
    """Raises HostError when the old service is not the one that was compared any more."""
    now = change.driver.find(change.old.name)
    if now is None or (now.created, now.digest) != (change.old.created, change.old.digest):
        raise HostError(
            f"{change.old.name} was changed by somebody else meanwhile; nothing was done.",
            where=f"{change.old.target} {change.old.name}",
            fix="`dsv4 history` may say by whom; then apply again.",
            code="changed-meanwhile",
        )


def _good(change: Change) -> float | None:
    """When the old service answered last: just now, or not at all."""
    return time.monotonic() if change.old.base_url and ask(change.old.base_url, (), "").up else None


def _port(seen: Seen) -> int:
    last = seen.base_url.rpartition(":")[2]
    return int(last) if last.isdigit() else 0


def _missing_secrets(fallback: Fallback | None, environ: Mapping[str, str]) -> list[str]:
    variables = fallback.plan.environment if fallback else ()
    return sorted({v.env_from for v in variables if v.value is None and v.env_from and not environ.get(v.env_from)})
