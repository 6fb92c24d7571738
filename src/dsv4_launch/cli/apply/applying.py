"""What `dsv4 apply` does, and `dsv4 rollback` with it: compare, judge, show, ask, change, and say what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dsv4_launch.cli import drivers, options, show
from dsv4_launch.cli.apply import changes
from dsv4_launch.cli.apply.at_boot import other_at_boot
from dsv4_launch.cli.apply.histories import history_of
from dsv4_launch.cli.apply.smoke import skips, smoke
from dsv4_launch.errors import Dsv4Error, GateError, HostError, Interrupted, UsageError
from dsv4_launch.values import counted

if TYPE_CHECKING:
    from dsv4_launch.plan.compare import Comparison
    from dsv4_launch.plan.types import Plan
    from dsv4_launch.run.apply.change import Applied, Fallback
    from dsv4_launch.run.service import Seen
    from dsv4_launch.run.world import Options, World


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an operator decides about a change."""

    options: Options
    smoke: str
    skip_smoke: Sequence[str]
    yes: bool
    dry_run: bool
    rollback: bool
    save_log: bool


def chosen(
    timeout: float | None,
    skip: Sequence[str] | None,
    smoke: str,
    skip_smoke: Sequence[str] | None,
    yes: bool,
    dry_run: bool,
    no_rollback: bool,
    no_pull: bool,
    no_save_log: bool,
) -> Chosen:
    """The options of a command line. Raises UsageError."""
    from dsv4_launch.checks.examine import parse_skips
    from dsv4_launch.run.world import Options

    given = Options(timeout, False, parse_skips(skip or ()), "keep", not no_pull)
    return Chosen(given, smoke, tuple(skip_smoke or ()), yes, dry_run, not no_rollback, not no_save_log)


def change_to(plan: Plan, wanted: Chosen, output: options.Output, command: str, image: str = "", by: str = "") -> int:
    """Make a plan what runs. ``image``: what its image was by digest, for a rollback. Returns the exit code."""
    from dsv4_launch.cli.serve import serving
    from dsv4_launch.run.interrupts import terminate_as_interrupt

    wanted = replace(wanted, options=replace(wanted.options, by=by or command))
    # A wrong --skip-smoke is told before anything is looked at.
    skips(wanted.skip_smoke)
    terminate_as_interrupt()
    progress = serving.progress()
    service = drivers.find(plan.name)
    if service is not None:
        from dsv4_launch.run.service import must_be_ours

        must_be_ours(service.seen)

    def ready_to_launch() -> None:
        """The name of the image stands for what it stood for then."""
        if image and plan.target == "docker":
            from dsv4_launch.run.images import put_back

            put_back(drivers.client(), plan.container.image, image, progress)

    act = _serve if is_over(service) else _replace
    done = act(plan, service, wanted, output, ready_to_launch)
    warned = show.clean(other_at_boot(plan))
    if warned:
        show.note(f"warning: {warned}")
    if output is options.Output.json:
        data = {**_data(done[0]), "differences": done[1] and done[1].differences, "warning": warned}
        show.envelope(command, 0, data)
    return 0


def is_over(service: drivers.Service | None) -> bool:
    """True where nothing runs under the name."""
    from dsv4_launch.run.claim import over

    return service is None or over(service.seen)


def _serve(
    plan: Plan,
    service: drivers.Service | None,
    wanted: Chosen,
    output: options.Output,
    ready_to_launch: Callable[[], None],
) -> tuple[Applied, Comparison | None]:
    """Nothing runs: a launch, and the test after it."""
    from dsv4_launch.checks.examine import blocking
    from dsv4_launch.cli.serve import serving
    from dsv4_launch.run.apply.change import Applied
    from dsv4_launch.run.lifecycle import dry_run, serve
    from dsv4_launch.targets import render

    human = output is options.Output.human
    if wanted.dry_run:
        found = dry_run(plan, render(plan), serving.world(plan.target), wanted.options)
        failed = blocking(found.checks)
        if failed:
            raise HostError(*(result.problem() for result in failed))
        if human:
            show.say(f"{plan.name} does not run; this host is fit to launch it.")
        return Applied("dry-run", plan.name, plan.target, plan.base_url, (), found.digest), None
    ready_to_launch()
    seen: list[str] = []

    def accept(served: Plan) -> None:
        seen.append(smoke(served, wanted.smoke, wanted.skip_smoke))

    given = replace(wanted.options, accept=accept)
    outcome = serve(plan, render(plan), serving.world(plan.target, recorded=True), given, serving.progress())
    if service is not None and service.seen.target != plan.target:
        _clear(service, wanted)
    tested = "".join(seen)
    if human:
        show.say(f"{plan.name} did not run; it is ready now, after {outcome.seconds:.0f} s. {tested}".rstrip())
    applied = Applied("served", plan.name, plan.target, plan.base_url, outcome.models, outcome.digest, smoke=tested)
    return applied, None


def _clear(finished: drivers.Service, wanted: Chosen) -> None:
    """Remove what ended on the other target, now that this one serves in its place; its log is kept."""
    import os

    from dsv4_launch.cli.serve import serving
    from dsv4_launch.run.history.record import save_log

    if wanted.save_log:
        save_log(finished.driver, finished.seen.name, os.environ, serving.progress())
    finished.driver.remove(finished.seen.name)


def _replace(
    plan: Plan,
    service: drivers.Service | None,
    wanted: Chosen,
    output: options.Output,
    ready_to_launch: Callable[[], None],
) -> tuple[Applied, Comparison | None]:
    from dsv4_launch.cli.serve import serving
    from dsv4_launch.run.apply import apply as applying
    from dsv4_launch.run.apply.change import Applied, Change
    from dsv4_launch.run.claim import already
    from dsv4_launch.run.service import digest_of
    from dsv4_launch.targets import render

    if service is None:
        raise ValueError("nothing runs")
    seen, human, progress = service.seen, output is options.Output.human, serving.progress()
    digest = digest_of(plan, render(plan))

    def world(target: str) -> World:
        return serving.world(target, recorded=True)

    if seen.target == plan.target and seen.digest == digest:
        already(plan, digest, world(plan.target), progress)  # raises when it is not ready
        if human:
            show.say(f"{plan.name} runs from this very plan already and is ready; nothing is changed.")
        same = Applied("unchanged", plan.name, plan.target, plan.base_url, plan.served_model_names, digest)
        return same, None
    found = _compared(seen, plan)
    change = Change(
        seen,
        service.driver,
        plan,
        _fallback(seen, digest) if wanted.rollback else None,
        lambda p: smoke(p, wanted.smoke, wanted.skip_smoke),
        wanted.save_log,
    )
    try:
        judged = applying.preflight(change, world(plan.target), wanted.options, progress)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; {plan.name} serves as before, nothing was changed.") from None
    if human or not wanted.yes:
        _show(plan, found, change.fallback, wanted, show.say if human else show.note)
    if wanted.dry_run:
        return Applied("dry-run", plan.name, plan.target, plan.base_url, (), digest, seen.digest), found
    _confirm(plan, wanted)
    ready_to_launch()
    done = applying.apply(change, judged, world, wanted.options, progress)
    if human:
        down = "" if done.downtime_s is None else f" Downtime: {done.downtime_s:.1f} s."
        show.say(f"{done.name} runs as the config says and is ready.{down} {done.smoke}".rstrip())
        show.say(f"  endpoint  {done.base_url}/v1")
        if seen.image:
            show.say(show.clean(f"  kept      image {seen.image}, for `dsv4 rollback {done.name}`"))
    return done, found


def _compared(seen: Seen, plan: Plan) -> Comparison | None:
    """What differs; None when what runs carries no config that can be compared."""
    try:
        return changes.compare_running(seen, plan)
    except Dsv4Error as error:
        show.note(f"warning: {show.clean(str(error))}")
        return None


def _fallback(seen: Seen, wanted: str) -> Fallback | None:
    """What to go back to: what runs, if it answers; else the last healthy entry that is not the plan ``wanted``."""
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run.apply.change import Fallback
    from dsv4_launch.run.endpoint import ask
    from dsv4_launch.run.history.entries import last_healthy
    from dsv4_launch.run.status.status import loaded

    try:
        if seen.base_url and ask(seen.base_url, ()).up:
            return Fallback(changes.running_plan(seen), seen.digest, seen.image_id, seen.gpus)
        entry = last_healthy(history_of(seen.target).entries(seen.name), but=wanted)
        return Fallback(resolve(loaded(entry.config)), entry.digest, entry.image_digest) if entry else None
    except Dsv4Error as error:
        show.note(f"warning: there is no way back: {show.clean(str(error))}")
        return None


def _show(
    plan: Plan, found: Comparison | None, fallback: Fallback | None, wanted: Chosen, say: Callable[[str], None]
) -> None:
    if found is not None:
        say(f"{plan.name}: {counted(len(found.differences), 'difference')} (running -> config)")
        changes.tell(found, say)
    if fallback is not None:
        say(f"If it fails, the plan {fallback.digest} is launched again.")
    elif wanted.rollback:
        say("If it fails, nothing healthy is known that could be launched again.")


def _confirm(plan: Plan, wanted: Chosen) -> None:
    """Ask. Raises UsageError where nobody can answer, GateError for a no, Interrupted."""
    if wanted.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"Changing {plan.name} interrupts its service, and there is nobody to ask: standard input is no terminal.",
            where="dsv4 apply",
            fix="Say --yes to change it without asking, or --dry-run to look only.",
        )
    sys.stderr.write(f"Stop {plan.name} and launch it anew? [y/N] ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; {plan.name} serves as before, nothing was changed.") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise GateError(f"Not confirmed; {plan.name} serves as before, nothing was changed.", code="not-confirmed")


def _data(done: Applied) -> dict[str, object]:
    from dsv4_launch.values import to_data

    data: dict[str, object] = to_data(done)
    return {**data, "openai_base_url": f"{done.base_url}/v1"}
