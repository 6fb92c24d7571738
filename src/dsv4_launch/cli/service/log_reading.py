"""`dsv4 logs`: the log of a service, or the saved one of a service that is gone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from dsv4_launch.cli import options, show
from dsv4_launch.cli.service import statuses
from dsv4_launch.errors import HostError, UsageError


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are wanted, as the command line says it."""

    tail: int | None = None
    since: str | None = None
    level: str | None = None
    grep: str | None = None


def logs(argument: str, target: str | None, output: options.Output, wanted: Wanted, *, follow: bool, last: bool) -> int:
    """Print a log as it is, without what could move a terminal's cursor."""
    as_json = output is options.Output.json
    if as_json and follow:
        raise UsageError("A log that is followed has no end, and one JSON value has.", fix="Leave out one of the two.")
    if last and follow:
        raise UsageError("A saved log does not grow.", where="dsv4 logs", fix="Leave out --follow or --last.")
    now = datetime.now(UTC)
    start = _start(wanted, now)
    name, saved, lines = (
        _saved(argument, wanted, start, now) if last else _living(argument, target, wanted, start, follow)
    )
    chosen = _chosen(lines, wanted)
    if as_json:
        data = {"name": name, "lines": [show.clean(line) for line in chosen]}
        show.envelope("logs", 0, {**data, "saved": saved} if saved else data)
        return 0
    try:
        for line in chosen:
            show.say(show.clean(line))
            if follow:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return 0
    return 0


def _start(wanted: Wanted, now: datetime) -> datetime | None:
    from dsv4_launch.run.logs.filter import level_of, matching, since

    if wanted.level is not None:
        level_of(wanted.level)
    if wanted.grep is not None:
        list(matching((), wanted.grep))  # a wrong pattern is told before a service is looked for
    return None if wanted.since is None else since(wanted.since, now)


def _living(
    argument: str, target: str | None, wanted: Wanted, start: datetime | None, follow: bool
) -> tuple[str, str, Iterable[str]]:
    service = statuses.find(argument, target)
    name = service.seen.name
    return name, "", service.driver.logs(name, follow=follow, tail=wanted.tail, since=start)


def _saved(argument: str, wanted: Wanted, start: datetime | None, now: datetime) -> tuple[str, str, Iterable[str]]:
    from dsv4_launch.run.logs import saved as saved_logs
    from dsv4_launch.run.logs.filter import later

    name, _ = statuses.named(argument)
    path = saved_logs.newest(name, os.environ)
    if path is None:
        raise HostError(
            f"There is no saved log of {name} here.",
            where=name,
            fix="`dsv4 stop` and `dsv4 apply` save one in the state folder of who ran them.",
            code="absent",
        )
    show.note(f"{path}")
    try:
        lines = saved_logs.lines_of(path, wanted.tail)
        return name, str(path), later(lines, start, now) if start else lines
    except OSError as error:
        raise HostError(f"The saved log cannot be read: {error.strerror}.", where=str(path)) from None


def _chosen(lines: Iterable[str], wanted: Wanted) -> Iterator[str]:
    from dsv4_launch.run.logs.filter import at_least, level_of, matching

    if wanted.level is not None:
        lines = at_least(lines, level_of(wanted.level))
    if wanted.grep is not None:
        lines = matching(lines, wanted.grep)
    return iter(lines)
