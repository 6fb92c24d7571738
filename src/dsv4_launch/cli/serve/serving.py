"""`dsv4 serve`: from the command line to a launch, and what is said when it is up."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dsv4_launch.cli import drivers, options, show, verdicts
from dsv4_launch.cli.fact_files import read_facts
from dsv4_launch.errors import ServerError
from dsv4_launch.values import fill, shell_word, to_data

if TYPE_CHECKING:
    from dsv4_launch.facts import HostFacts, Request
    from dsv4_launch.plan.types import Plan
    from dsv4_launch.run.progress import Progress
    from dsv4_launch.run.world import DryRun, Options, Outcome, World


def progress() -> Progress:
    """A live line where stderr is a terminal, plain lines anywhere else."""
    from dsv4_launch.run.progress import LiveProgress, PlainProgress

    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return LiveProgress(show.console(stderr=True), show.note)
    return PlainProgress(show.note)


def world(target: str, *, recorded: bool = False) -> World:
    """This host, as a launch needs it. ``recorded``: its launches go into the history."""
    from dsv4_launch.cli.apply.histories import history_of
    from dsv4_launch.host.kernel_since import errors_since
    from dsv4_launch.host.places import find_places
    from dsv4_launch.run.start.earlier import Starts
    from dsv4_launch.run.watch.lock import changing
    from dsv4_launch.run.world import World

    return World(
        places=find_places(),
        environ=dict(os.environ),
        starts=Starts(os.environ),
        driver=drivers.driver_of(target),
        probe=_probe,
        engine=drivers.client if target == "docker" else None,
        history=history_of(target) if recorded else None,
        kernel=errors_since,
        changing=changing,
    )


def launch(plan: Plan, chosen: Options, output: options.Output, *, attach: bool) -> int:
    """Serve a plan, say where it is, and follow it where that is asked for (or nobody else supervises it)."""
    from dsv4_launch.run.interrupts import terminate_as_interrupt
    from dsv4_launch.run.lifecycle import serve
    from dsv4_launch.targets import render

    terminate_as_interrupt()
    here = world(plan.target, recorded=True)
    outcome, attached, stops = None, False, False
    try:
        outcome = serve(plan, render(plan), here, chosen, progress())
        stops = plan.target == "native" and outcome.state == "ready"
        attached = not chosen.detach and (attach or stops)
        if output is options.Output.json:
            show.envelope("serve", 0, {**to_data(outcome), "openai_base_url": f"{outcome.base_url}/v1"})
        else:
            _tell(plan, outcome, attached)
        return _follow(plan, here, output, stops=stops) if attached else 0
    except KeyboardInterrupt:
        if outcome is None or not attached:
            raise
        return _left(plan, here, outcome.digest, stops=stops)


def _left(plan: Plan, here: World, digest: str, *, stops: bool) -> int:
    """What Ctrl-C leaves of what was launched: it stops a native server, not a container."""
    from dsv4_launch.run.interrupts import deaf

    with deaf():
        from dsv4_launch.run import claim
        from dsv4_launch.run.history.record import save_log

        now = here.driver.find(plan.name) if stops else None
        if stops and now is None:
            return 0
        # What `apply` has put in its place meanwhile is not ours to end.
        if now is None or now.digest != digest:
            show.note(f"{plan.name} goes on; `dsv4 stop {plan.name}` ends it.")
            return 0
        show.note(f"Stopping {plan.name}")
        keep = lambda: save_log(here.driver, plan.name, here.environ, progress())  # noqa: E731
        claim.stop(here.driver, plan.name, before_removal=keep)
    return 0


def _follow(plan: Plan, here: World, output: options.Output, *, stops: bool) -> int:
    """Watch it and print its log until it is stopped. Raises KeyboardInterrupt."""
    from dsv4_launch.cli.service import watching
    from dsv4_launch.run.start.failure import ending
    from dsv4_launch.run.status.status import loaded

    write = show.note if output is options.Output.json else show.say
    show.note(f"Watching {plan.name} and following its log; Ctrl-C {'stops it' if stops else 'leaves it running'}.")
    found = here.driver.find(plan.name)
    if found is not None:
        watching.follow_and_watch(here.driver, found, loaded(plan.config).config, write)
    ended = drivers.find(plan.name)
    found = ended.seen if ended is not None else None
    if found is None or found.stopped:
        show.note(f"{plan.name} was stopped.")
        return 0
    raise ServerError(
        f"{plan.name} ended: {ending(found)}.",
        where=f"{found.target} {plan.name}",
        fix=f"`dsv4 logs --tail 50 {plan.name}` shows its last words.",
        code="server-died",
    )


def dry_run(plan: Plan, chosen: Options, output: options.Output, recorded: str | None = None) -> int:
    """Everything but the launch: every check with its result, what would be fetched, the words that would run.

    With ``recorded`` facts that host is judged, where what its record does not know forbids nothing.
    """
    from dsv4_launch.checks.examine import blocking
    from dsv4_launch.run import lifecycle
    from dsv4_launch.targets import render

    here = world(plan.target)
    if recorded is not None:
        facts = read_facts(recorded)
        here = replace(here, probe=lambda _request: facts)
    found = lifecycle.dry_run(plan, render(plan), here, chosen)
    failed = blocking(found.checks, recorded=recorded is not None)
    exit_code = 5 if failed else 0
    if output is options.Output.json:
        show.envelope("serve", exit_code, found, [result.problem() for result in failed])
        return exit_code
    _tell_dry(found)
    for result in failed:
        show.problem(result.problem())
    return exit_code


def _tell(plan: Plan, outcome: Outcome, attached: bool) -> None:
    from dsv4_launch.run.watch.lock import holder

    name, url = outcome.name, f"{outcome.base_url}/v1"
    if outcome.state == "detached":
        show.say(f"{name} is launched and starts; nobody waits for it. `dsv4 status {name}` tells how far it is.")
    elif outcome.state == "already-ready":
        show.say(f"{name} runs already, from this very plan, and is ready.")
    else:
        from dsv4_launch.run.progress import clock_text

        show.say(f"{name} is ready after {clock_text(outcome.seconds)}.")
    model = outcome.models[0] if outcome.models else plan.served_model_names[0]
    show.say(f"  endpoint  {url}")
    if outcome.gpus:
        show.say(f"  gpus      {','.join(map(str, outcome.gpus))}")
    show.say(f"  model     {model}")
    show.say(f"  try       {curl(url, model, _key_text(plan))}")
    if plan.host.startswith("127.") or plan.host in ("localhost", "::1"):
        there = f"{fill_user()}@{socket.gethostname()}"
        show.say(f"  from afar ssh -N -L {plan.port}:{plan.host}:{plan.port} {there}")
    if not attached and holder(plan.target, name) is None:
        show.say(f"  unwatched if it dies or hangs, nobody sees it: `dsv4 watch {name}`, or the unit of `dsv4 unit`")
    show.say(f"  then      dsv4 status {name} | dsv4 logs -f {name} | dsv4 stop {name}")


def _key_text(plan: Plan) -> str:
    """The plan's API key as a shell finds it, "" for none: never the key itself."""
    if plan.api_key_file:
        return f"$(cat {shell_word(plan.api_key_file)})"
    return f"${plan.api_key_env}" if plan.api_key_env else ""


def curl(url: str, model: str, key_text: str) -> str:
    """A line to paste that asks for one completion; a key stands in it by the shell text that finds it."""
    import json
    import shlex

    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 32})
    key = f' -H "Authorization: Bearer {key_text}"' if key_text else ""
    return f"curl -s {url}/chat/completions -H 'Content-Type: application/json'{key} -d {shlex.quote(body)}"


def fill_user() -> str:
    """Who launches, as `id -un` says."""
    from dsv4_launch.host.places import find_places

    return find_places()["user"]


def _tell_dry(found: DryRun) -> None:
    import shlex

    for result in found.checks:
        if result.status != "not applicable":
            show.say(verdicts.line(result))
    for thing in found.fetches:
        show.say(f"would fetch: {thing}")
    if found.gpus:
        show.say(f"would take: GPUs {','.join(map(str, found.gpus))}")
    words = [word if isinstance(word, str) else fill(word, {}) for word in found.argv]
    settings = [f"{name}={shell_word(value)} " for name, value in found.env.items()]
    show.say(f"would run: {''.join(settings)}{shlex.join(words)}")


def _probe(request: Request) -> HostFacts:
    from dsv4_launch.host.probe import probe

    return probe(request, datetime.now(UTC).isoformat(timespec="seconds"))
