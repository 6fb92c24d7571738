"""From a plan to a server that answers: judge the host, fetch, launch, wait; and undo what is half done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace

from dsv4_launch.checks.examine import Result, blocking, examine, warnings
from dsv4_launch.checks.request import request_for
from dsv4_launch.checks.selection import asked, gpu_places
from dsv4_launch.errors import Dsv4Error, HostError, Interrupted, Problem, ServerError, SmokeError
from dsv4_launch.facts import HostFacts
from dsv4_launch.plan.secrets import withheld
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.api_key import with_key
from dsv4_launch.run.claim import already, over
from dsv4_launch.run.diagnose import MAX_LINES, death_problems, diagnose
from dsv4_launch.run.fetch import fetch, missing
from dsv4_launch.run.history.record import record, save_log
from dsv4_launch.run.interrupts import deaf, hold
from dsv4_launch.run.progress import Progress
from dsv4_launch.run.service import Driver, digest_of
from dsv4_launch.run.start.readiness import Ready, wait_until_ready
from dsv4_launch.run.start.stage_times import StageTimes
from dsv4_launch.run.world import DryRun, Options, Outcome, World, api_key
from dsv4_launch.targets import render
from dsv4_launch.values import SHELL_FORMS, Rendered

# What never was ready has no requests to finish.
STOP_UNREADY_S = 5.0


def serve(plan: Plan, rendered: Rendered, world: World, options: Options, progress: Progress) -> Outcome:
    """Bring the plan's service up.

    Raises HostError (a check fails, the name or port is taken), ToolError, WeightsError (fetching failed), ServerError
    (it died or is late; the service is kept or removed as asked), SmokeError (it is up and completes nothing) or
    Interrupted (what was started is gone again).
    """
    digest = digest_of(plan, rendered)
    world = replace(world, environ=with_key(plan, world.environ, world.places))
    last = world.starts.last(digest) if world.starts else {}
    times = StageTimes(time.monotonic, last, lambda stage: progress.say(stage.text))
    try:
        ready = already(plan, digest, world, progress)
        if ready is not None:
            return ready
        wanted = asked(plan, world.environ)
        checks, facts = judge(wanted, world, options.skips, progress)
        problems = [result.problem() for result in blocking(checks)]
        if problems:
            raise HostError(*problems)
        gpus = chosen(plan, wanted, facts)
        fetch(plan, facts, world, progress, times, pull=options.pull)
    except KeyboardInterrupt:
        progress.close()
        raise _not_started(plan) from None
    if gpus:
        progress.say(f"GPUs {','.join(map(str, gpus))} of {len(facts.gpus or ())} are taken")
    times.reach("launch", "creating the service")
    there, up = replace(world, places={**world.places, **gpu_places(wanted, facts)}), None
    try:
        with world.changing(plan.name):
            up = _bring_up(plan, rendered, there, digest, options, progress, times)
        return Outcome(
            state="detached" if options.detach else "ready",
            name=plan.name,
            target=plan.target,
            base_url=plan.base_url,
            models=up.models or plan.served_model_names,
            digest=digest,
            seconds=round(up.seconds, 1),
            gpus=gpus,
            checks=checks,
            skipped=dict(options.skips),
            stages=up.stages,
        )
    except KeyboardInterrupt:  # nobody was told yet that it is ready
        if up is None:
            raise _not_started(plan) from None
        raise _undone(plan, world.driver, progress) from None


def _bring_up(
    plan: Plan,
    rendered: Rendered,
    world: World,
    digest: str,
    options: Options,
    progress: Progress,
    times: StageTimes,
) -> Ready:
    """Launch, wait, test, and write it down. Raises KeyboardInterrupt only when nothing is launched yet."""
    launch(plan, rendered, world, progress)
    try:
        up = (
            Ready(0.0, plan.served_model_names)
            if options.detach
            else await_ready(plan, world, options, progress, times)
        )
        _tested(plan, digest, world, options, progress)
        record(plan, digest, world, progress, "detached" if options.detach else "healthy", by=options.by)
        if world.starts and up.stages:
            world.starts.record(digest, up.stages)
    except KeyboardInterrupt:
        raise _undone(plan, world.driver, progress) from None
    return up


def _not_started(plan: Plan) -> Interrupted:
    return Interrupted(f"Interrupted before {plan.name} was launched; nothing was started.")


def dry_run(plan: Plan, rendered: Rendered, world: World, options: Options) -> DryRun:
    """Everything up to the launch, with nothing changed: no pull, no create."""
    facts = world.probe(request_for(plan, world.places))
    wanted = plan if facts.origin != "probed" else asked(plan, world.environ)
    checks = examine(wanted, facts, options.skips)
    seen = plan.gpus.visible != "auto" or facts.gpus is not None
    # Where nobody could look at the GPUs, the words hold what a shell would put there.
    places = gpu_places(wanted, facts) if seen else SHELL_FORMS
    command = rendered.command.fill({**places, **world.places})
    gpus = chosen(plan, wanted, facts) if seen else ()
    return DryRun(plan.name, digest_of(plan, rendered), checks, missing(plan, facts), command.argv, command.env, gpus)


def chosen(plan: Plan, wanted: Plan, facts: HostFacts) -> tuple[int, ...]:
    """The GPUs that this launch chooses; none where the config names them. ``wanted``: as the caller asked."""
    if plan.gpus.visible != "auto" or not plan.gpus.count:
        return ()
    return tuple(int(index) for index in gpu_places(wanted, facts)["gpus"].split(",") if index)


def judge(
    plan: Plan, world: World, skips: Mapping[str, str], progress: Progress
) -> tuple[tuple[Result, ...], HostFacts]:
    """Look at the host and judge the plan there; warnings and skips are said, faults are left to the caller."""
    facts = world.probe(request_for(plan, world.places))
    checks = examine(plan, facts, skips)
    for result in warnings(checks):
        why = f" (skipped: {result.why})" if result.status == "ignored" else ""
        progress.say(f"warning: {result.message}{why} [{result.code}]")
    return checks, facts


def launch(plan: Plan, rendered: Rendered, world: World, progress: Progress) -> None:
    """Create and start the service. A Ctrl-C meanwhile waits until it is clear what there is to undo."""
    command = rendered.command.fill(world.places)
    what = f"container of {plan.container.image}" if plan.target == "docker" else "native process"
    progress.say(f"Launching {plan.name} ({what})")
    if plan.target == "native" and (kept := withheld(world.environ, plan)):
        progress.say(f"Secrets of this shell that the server does not get: {', '.join(kept)} (secrets.pass_through)")
    created = False
    try:
        with hold() as held:
            old = world.driver.find(plan.name) if world.history is not None else None
            if old is not None and over(old) and not old.foreign:
                save_log(world.driver, plan.name, world.environ, progress)
            world.driver.create(plan.name, command, world.environ, plan)
            created = True
        if held.came:
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        if created:
            raise _undone(plan, world.driver, progress) from None
        raise Interrupted(f"Interrupted while {plan.name} was launched; nothing of it is left.") from None


def await_ready(
    plan: Plan, world: World, options: Options, progress: Progress, times: StageTimes | None = None
) -> Ready:
    """Wait for a service that was launched. One that dies or is late is written down, and kept or removed as asked."""
    timeout_s = options.timeout_s if options.timeout_s is not None else float(plan.timeout_s)
    key = api_key(plan, world.environ)
    try:
        up = wait_until_ready(world.driver, plan, timeout_s=timeout_s, api_key=key, progress=progress, times=times)
    except KeyboardInterrupt:
        raise _undone(plan, world.driver, progress) from None
    except (ServerError, SmokeError) as error:
        with deaf():
            why = _explained(plan, world)  # before the log is removed
            late = error.problems[0].code == "server-late"
            digest = digest_of(plan, render(plan))
            message = error.problems[0].message
            record(plan, digest, world, progress, "late" if late else "failed", by=options.by, why=message)
            kept = _after_failure(plan, world, options.on_failure, error.problems[0].code, progress)
        first = error.problems[0]
        raise type(error)(
            Problem(first.code, first.message, first.where, f"{kept} {first.fix}".strip()), *why
        ) from None
    if up.key_refused:
        progress.say("warning: the server is up, but refuses the API key of this environment")
    return up


def _tested(plan: Plan, digest: str, world: World, options: Options, progress: Progress) -> None:
    """Test what is ready. What fails, or cannot be tested, is written down so and goes on running. Raises Dsv4Error."""
    stop = f"`dsv4 stop {plan.name}` ends it."
    try:
        if options.accept is not None:
            options.accept(plan)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(f"Interrupted while {plan.name} was tested; it goes on running: {stop}") from None
    except Dsv4Error as error:
        record(plan, digest, world, progress, "failed", by=options.by, why=str(error))
        raise type(error)(*error.problems, Problem("left-running", f"{plan.name} goes on running.", "", stop)) from None


def _explained(plan: Plan, world: World) -> tuple[Problem, ...]:
    """The known failure that explains why a launch failed, where its log, its end or the kernel shows one."""
    try:
        found = world.driver.find(plan.name)
        lines = world.driver.logs(plan.name, follow=False, tail=MAX_LINES)
        # Since it was made, not since its last start: in a crash loop the first death counts.
        kernel = world.kernel(found.created) if world.kernel is not None and found is not None else None
        return death_problems(diagnose(lines, found, version=plan.vllm, gpu=plan.gpus.key, kernel=kernel))
    except (Dsv4Error, OSError):
        return ()  # the service is gone, or its engine: what is known without them is said already


def _undone(plan: Plan, driver: Driver, progress: Progress) -> Interrupted:
    with deaf():
        progress.close()
        progress.say(f"Stopping {plan.name}")
        _discard(plan, driver)
    return Interrupted(f"Interrupted before {plan.name} was ready; it has been stopped and removed.")


def _after_failure(plan: Plan, world: World, on_failure: str, code: str, progress: Progress) -> str:
    """Keep or remove what failed; returns the sentence that says which."""
    thing = "container" if plan.target == "docker" else "service"
    if on_failure == "remove":
        log = save_log(world.driver, plan.name, world.environ, progress) if world.history is not None else ""
        _discard(plan, world.driver)
        tail = f" `dsv4 logs {plan.name} --last` prints its log." if log else ""
        return f"The {thing} has been removed, as asked.{tail}"
    if code == "crash-loop":
        world.driver.stop(plan.name, STOP_UNREADY_S)
        return f"The {thing} has been stopped and is kept."
    if code == "server-late":
        return f"It goes on starting: `dsv4 status {plan.name}` tells how far it is, `dsv4 stop {plan.name}` ends it."
    if code == "no-completion":
        return f"It goes on running: `dsv4 stop {plan.name}` ends it."
    return f"The {thing} is kept; the next `dsv4 serve` replaces it."


def _discard(plan: Plan, driver: Driver) -> None:
    with contextlib.suppress(HostError):  # it may be gone by itself
        driver.stop(plan.name, STOP_UNREADY_S)
    driver.remove(plan.name)
