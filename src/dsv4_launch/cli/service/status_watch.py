"""`dsv4 status --watch`: the same again and again; a live view on a terminal, a line a round anywhere else."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from dsv4_launch.cli import options, show
from dsv4_launch.cli.service import status_now, statuses
from dsv4_launch.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dsv4_launch.run.status.metrics import Metrics
    from dsv4_launch.run.status.status import Status

ROUND_S = 2.0
# Of a core; the metrics of many engines take so long to read that rounds become longer.
MOST_SHARE = 0.015
# Looking for new deployments, drift and the endpoint costs more than reading metrics.
JUDGE_EVERY = 5


def watch(argument: str | None, target: str | None, output: options.Output, *, check: bool, window_s: float) -> int:
    """Show until Ctrl-C. Raises UsageError with JSON or a gate, which have an end."""
    from dsv4_launch.run.interrupts import terminate_as_interrupt

    if output is options.Output.json or check:
        raise UsageError("A watch has no end, and one JSON value or exit code has.", fix="Leave out one of the two.")
    terminate_as_interrupt()
    rounds = _Rounds(argument, target, window_s)
    with contextlib.suppress(KeyboardInterrupt):
        if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            _live(rounds)
        else:
            _plain(rounds)
    return 0


def pause_s(spent_s: float) -> float:
    """Seconds until the next round, after one that took so much of the processor."""
    return max(ROUND_S, spent_s / MOST_SHARE)


class _Rounds:
    """Reads metrics each round, and everything else each few rounds."""

    def __init__(self, argument: str | None, target: str | None, window_s: float) -> None:
        self._argument, self._target, self._window_s = argument, target, window_s
        self._judged: list[statuses.Judged] = []
        # By target and name: a container and a native service may have the same name.
        self._scrapes: dict[tuple[str, str], deque[Metrics]] = {}
        self._round = 0
        self._stack = contextlib.ExitStack()
        self._nvml = self._open()

    def _open(self) -> Any:
        from dsv4_launch.host.looking import CouldNotLook
        from dsv4_launch.host.nvml_now import Nvml

        try:
            return self._stack.enter_context(Nvml())
        except CouldNotLook:
            return None

    def next(self) -> list[Status]:
        """The statuses now."""
        if self._round % JUDGE_EVERY == 0:
            self._judged, _ = statuses.judge(self._argument, self._target)
        self._round += 1
        return [self._told(one) for one in self._judged]

    def _told(self, one: statuses.Judged) -> Status:
        scrapes = self._scrapes.setdefault((one.status.target, one.status.name), deque())
        now = status_now.scraped(one.seen) if one.status.state == "ready" else None
        if now is None:
            scrapes.clear()
            self._round = 0 if one.status.state == "ready" else self._round  # it has changed: judge it anew
            return status_now.told(one, None, None, self._nvml)
        scrapes.append(now)
        while len(scrapes) > 2 and now.at_s - scrapes[1].at_s >= self._window_s:
            scrapes.popleft()
        return status_now.told(one, scrapes[0] if len(scrapes) > 1 else None, now, self._nvml)


def _plain(rounds: _Rounds) -> None:
    from datetime import UTC, datetime

    from dsv4_launch.run.status.now import in_one_line

    while True:
        begun_s = time.process_time()
        for one in rounds.next():
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            what = in_one_line(one.serving) if one.state == "ready" else one.why or one.stage
            show.say(show.clean(f"{moment}  {one.name}: {one.state}  {what}"))
        sys.stdout.flush()
        time.sleep(pause_s(time.process_time() - begun_s))


def _live(rounds: _Rounds) -> None:
    from rich.live import Live

    with Live(console=show.console(), auto_refresh=False, transient=False) as live:
        while True:
            begun_s = time.process_time()
            live.update(_drawn(rounds.next()), refresh=True)
            time.sleep(pause_s(time.process_time() - begun_s))


def _drawn(found: list[Status]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    colours = {"ready": "green", "starting": "yellow", "failed": "red"}
    parts: list[Text] = []
    for one in found:
        head = Text(f"{one.name}: ")
        head.append(one.state, style=colours.get(one.state, ""))
        head.append(show.clean(f"  {one.stage or one.why}".rstrip()))
        parts.append(head)
        parts += [Text(show.clean(f"  {line}")) for line in (status_now.lines(one) if one.state != "absent" else ())]
        if one.drift:
            parts.append(Text(show.clean(f"  drift     {one.drift}"), style="yellow"))
    if not parts:
        parts = [Text("There is no deployment of dsv4 here.")]
    return Group(*parts, Text("Ctrl-C ends this view.", style="dim"))
