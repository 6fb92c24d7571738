"""`dsv4 status`, `stop`, `show`: services that are there already, by name or by the config that names them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsv4_launch.cli import drivers, options, show
from dsv4_launch.errors import Dsv4Error, HostError, Problem, UsageError

if TYPE_CHECKING:
    from dsv4_launch.config.load import Loaded
    from dsv4_launch.plan.types import Plan
    from dsv4_launch.run.service import Seen
    from dsv4_launch.run.status.status import Status


def named(argument: str) -> tuple[str, Loaded | None]:
    """The deployment's name: the argument itself, or that of the config which it is."""
    if "/" in argument or Path(argument).suffix in (".yaml", ".yml"):
        from dsv4_launch.cli.configs import load_config

        loaded = load_config(argument)
        return loaded.config.name, loaded
    return argument, None


def find(argument: str, target: str | None) -> drivers.Service:
    """The service of a name, config file or built-in config. Raises HostError when there is none."""
    from dsv4_launch.cli.configs import builtins, load_config

    name, _ = named(argument)
    service = drivers.find(name, target)
    if service is None and name == argument and name in builtins():
        name = load_config(name).config.name
        service = drivers.find(name, target) if name != argument else None
    if service is None:
        raise HostError(
            f"There is no deployment {name} here.",
            where=name,
            fix="`dsv4 status` lists what there is; another user's docker context or machine may have it.",
            code="absent",
        )
    return service


def status(argument: str | None, target: str | None, output: options.Output, *, check: bool, window_s: float) -> int:
    """Tell the status of one deployment or of all."""
    from dsv4_launch.cli.service import status_now
    from dsv4_launch.values import to_data

    judged, problems = judge(argument, target)
    found = status_now.complete(judged, 0.0 if check and output is options.Output.human else window_s)
    ready = bool(found) and all(one.state == "ready" for one in found) and not problems
    gate = [] if ready or not check else [_not_ready(found)]
    exit_code = 10 if gate else 5 if problems and not found else 0
    if output is options.Output.json:
        show.envelope("status", exit_code, {"deployments": [to_data(one) for one in found]}, [*problems, *gate])
        return exit_code
    for one in found:
        _tell(one)
    if not found and not problems:
        show.say("There is no deployment of dsv4 here.")
    for problem in problems:
        show.problem(problem, "error" if not found else "warning")
    for problem in gate:
        show.problem(problem)
    return exit_code


def stop(argument: str, target: str | None, output: options.Output, timeout_s: float | None, *, save_log: bool) -> int:
    """Stop a service and remove what it was made of; caches and weights stay."""
    from dsv4_launch.run import claim
    from dsv4_launch.run.history.record import save_log as save
    from dsv4_launch.run.interrupts import hold
    from dsv4_launch.run.progress import PlainProgress

    try:
        service = find(argument, target)
    except HostError as error:
        if error.problems[0].code != "absent":
            raise
        return _stopped(named(argument)[0], output, was=None)
    name = service.seen.name
    if service.seen.life == "running" and not service.seen.foreign:
        patience_s = claim.patience_s(service.seen) if timeout_s is None else timeout_s
        show.note(f"Stopping {name} (it has {patience_s:g} s to finish)")
    saved: list[str] = []

    def keep() -> None:
        if save_log:
            saved.append(save(service.driver, name, os.environ, PlainProgress(show.note)))

    with hold():
        claim.stop(service.driver, name, timeout_s, keep)
    return _stopped(name, output, was=service.seen.life, log="".join(saved))


def show_config(argument: str | None, target: str | None, builtin: str | None, output: options.Output) -> int:
    """Print the config that runs, or the text of a built-in one."""
    if (argument is None) == (builtin is None):
        raise UsageError("Name a deployment, or a built-in config with --builtin.", fix="`dsv4 show --help` shows how.")
    if builtin is not None:
        text = _builtin(builtin)
        if output is options.Output.json:
            show.envelope("show", 0, {"builtin": builtin, "yaml": text})
        else:
            sys.stdout.write(text)
        return 0
    seen = find(str(argument), target).seen
    from dsv4_launch.run.service import must_be_ours

    must_be_ours(seen)
    text = _yaml(dict(seen.config))
    if output is options.Output.json:
        facts = {"name": seen.name, "target": seen.target, "digest": seen.digest, "user": seen.user}
        show.envelope("show", 0, {**facts, "config": seen.config, "yaml": text})
    else:
        sys.stdout.write(text)
    return 0


def judge(argument: str | None, target: str | None) -> tuple[list[Judged], list[Problem]]:
    """The services of an argument (None: all), each with its status; and why some could not be seen."""
    if argument is not None:
        return [_one(argument, target)], []
    services, problems = drivers.find_all(target)
    return [Judged(service.seen, _status(service)) for service in services], problems


@dataclass(frozen=True, slots=True)
class Judged:
    """A service and its status; ``seen`` is None for what is not here."""

    seen: Seen | None
    status: Status


def _one(argument: str, target: str | None) -> Judged:
    from dsv4_launch.run.status import status as judging

    name, loaded = named(argument)
    try:
        service = find(argument, target)
    except HostError as error:
        if error.problems[0].code != "absent":
            raise
        return Judged(None, judging.Status(name, "absent"))
    seen = service.seen
    if loaded is None or seen.foreign:
        return Judged(None if seen.foreign else seen, _status(service))
    from dsv4_launch.plan.resolve import resolve

    plan = resolve(loaded)
    if plan.target != seen.target:
        return Judged(seen, _status(service, f"it runs in {seen.target}, {argument} says {plan.target}"))
    return Judged(seen, _status(service, _drift(seen, plan, argument)))


def _drift(seen: Seen, plan: Plan, argument: str) -> str:
    """Which values differ between what runs and the plan of a config ("" for none)."""
    from dsv4_launch.cli.apply.changes import compare_running
    from dsv4_launch.plan.compare import in_short
    from dsv4_launch.run.service import digest_of
    from dsv4_launch.run.status.drift import drift_from
    from dsv4_launch.targets import render

    whole = drift_from(seen, digest_of(plan, render(plan)), argument)
    if not whole:
        return ""
    try:
        differences = compare_running(seen, plan).differences
    except Dsv4Error:
        return whole  # what runs carries no config that could be compared
    return f"{in_short(differences)} ({argument})" if differences else whole


def _status(service: drivers.Service, drift: str | None = None) -> Status:
    from dsv4_launch.run.endpoint import ask
    from dsv4_launch.run.service import belongs
    from dsv4_launch.run.status import status as judging
    from dsv4_launch.run.status.drift import drift_of_version

    seen = service.seen
    if seen.foreign:
        return judging.Status(seen.name, "absent", why=f"the name {belongs(seen)}", target=seen.target)
    if drift is None:
        drift = drift_of_version(seen)
    # How far it is stands in the log of this life; natively in the same log a line tells where it begins.
    since = datetime.fromisoformat(seen.ended_before) if seen.ended_before else None
    lines = lambda: service.driver.logs(seen.name, follow=False, tail=judging.MAX_LINES, since=since)  # noqa: E731
    return judging.look(seen, lines, ask, os.environ, drift)


def _not_ready(found: list[Status]) -> Problem:
    if not found:
        return Problem("not-ready", "There is no deployment here.", "", "`dsv4 serve CONFIG` launches one.")
    bad = next((one for one in found if one.state != "ready"), found[0])
    why = f": {bad.why or bad.stage}" if bad.why or bad.stage else ""
    return Problem("not-ready", f"{bad.name} is {bad.state}{why}.", bad.name, f"`dsv4 logs {bad.name}` may say more.")


def _tell(one: Status) -> None:
    from dsv4_launch.cli.service import status_now

    parts = [f"{one.name}: {one.state}"]
    if one.stage:
        parts.append(one.stage)
    if one.why:
        parts.append(one.why)
    show.say(show.clean(", ".join(parts)))
    if one.state == "absent":
        return
    for line in status_now.lines(one):
        show.say(show.clean(f"  {line}"))
    if one.drift:
        show.say(show.clean(f"  drift     {one.drift}"))


def _stopped(name: str, output: options.Output, was: str | None, log: str = "") -> int:
    if output is options.Output.json:
        show.envelope("stop", 0, {"name": name, "was": was or "absent", "log": log or None})
    elif was is None:
        show.say(f"{name} is not here; there is nothing to stop.")
    else:
        show.say(f"{name} is {'stopped and removed' if was != 'exited' else 'removed; it had ended before'}.")
        if log:
            show.say(f"  its log   {log} (`dsv4 logs {name} --last`)")
    return 0


def _builtin(name: str) -> str:
    from dsv4_launch.cli.configs import builtins
    from dsv4_launch.values import listed, nearest

    path = builtins().get(name)
    if path is None:
        meant = nearest(name, builtins())
        fix = f"Did you mean {meant}?" if meant else f"Built in: {listed(builtins())}."
        raise UsageError(f"There is no built-in config {name!r}.", where="--builtin", fix=fix)
    return path.read_text("utf-8")


def _yaml(data: dict[str, Any]) -> str:
    """The config in the order of its fields where it is valid here, else as it was recorded."""
    import yaml

    from dsv4_launch.config.load import dump
    from dsv4_launch.errors import InputError
    from dsv4_launch.run.status.status import loaded

    try:
        return dump(loaded(data).config)
    except InputError:
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
