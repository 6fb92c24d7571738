"""Some lines of a log: by time, by level as vLLM prints it, by a pattern that cannot hang."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import TypeVar

from dsv4_launch.errors import UsageError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# Processor seconds that a pattern may take over one line; a line has at most 128 KiB.
MATCH_S = 1.0

_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
# (APIServer pid=7) INFO 11-25 16:07:34 [file.py:1] …; uvicorn's own lines are `INFO:     …`.
_HEAD = re.compile(
    r"(\([^()]{1,80}\) )?(?:(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b:?)?(?: (\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\b)?"
)
_OURS = re.compile(r"--- dsv4 (\d{4}-\d\d-\d\dT[\d:.]{8,16}Z) ")
_TRACEBACK = "Traceback (most recent call last)"


def since(text: str, now: datetime) -> datetime:
    """The time that ``--since`` means: a duration before ``now`` (10m, 1h30m, 2d) or an ISO time (UTC if it says none).

    Raises UsageError.
    """
    found = _DURATION.fullmatch(text)
    try:
        if found and text:
            days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        stamp = datetime.fromisoformat(text)
        return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {text!r} is no duration and no time.",
            where="--since",
            fix="As in 10m, 1h30m, 2d, 2026-11-25T16:00:00 or 2026-11-25T16:00:00+01:00.",
        ) from None


def level_of(text: str) -> str:
    """The level that ``--level`` means, in vLLM's spelling. Raises UsageError."""
    wanted = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(text.upper(), text.upper())
    if wanted not in LEVELS:
        raise UsageError(f"--level {text!r} is no level.", where="--level", fix=f"One of {', '.join(LEVELS)}.")
    return wanted


def at_least(lines: Iterable[str], level: str) -> Iterator[str]:
    """Lines of this level or a graver one. A line without a level goes with the one before it of its process."""
    least, last = LEVELS.index(level), {"": 1}
    for line in lines:
        found = _HEAD.match(line)
        prefix, said = (found.group(1) or "", found.group(2)) if found else ("", None)
        if said:
            last[prefix] = LEVELS.index(said)
        elif _TRACEBACK in line:
            last[prefix] = LEVELS.index("ERROR")
        if last.setdefault(prefix, 1) >= least:
            yield line
        if len(last) > 10_000:  # a log that names a process a line
            last = {prefix: last[prefix]}


def later(lines: Iterable[str], start: datetime, now: datetime) -> Iterator[str]:
    """Lines from ``start`` on, by the times in them (of this machine's zone); one without a time goes with the last."""
    on = False
    for line in lines:
        stamp = _stamp(line, now)
        if stamp is not None:
            on = stamp >= start
        if on:
            yield line


def _stamp(line: str, now: datetime) -> datetime | None:
    """The time of a line. vLLM prints no year: it is the last one in which that time is not in the future."""
    ours = _OURS.match(line)
    try:
        if ours:
            return datetime.fromisoformat(ours.group(1))
        found = _HEAD.match(line)
        if not found or not found.group(3):
            return None
        parts = [int(found.group(n)) for n in range(3, 8)]
        local = now.astimezone()
        for year in (local.year, local.year - 1, local.year - 2, local.year - 3, local.year - 4):  # 29 February
            try:
                stamp = datetime(year, *parts).astimezone()  # type: ignore[arg-type]
            except ValueError:
                continue
            if stamp <= local + timedelta(days=1):
                return stamp
    except (ValueError, OverflowError):
        return None
    return None


def matching(lines: Iterable[str], pattern: str, match_s: float = MATCH_S) -> Iterator[str]:
    """Lines in which a regular expression is found. Raises UsageError for one that is none, or takes too long."""
    found = _watched(lambda: re.compile(pattern), pattern, match_s)
    for line in lines:
        if _watched(lambda line=line: found.search(line), pattern, match_s):  # type: ignore[misc]
            yield line


T = TypeVar("T")


class _TooLongError(Exception):
    """A pattern took more processor time than it may."""


def _watched(act: Callable[[], T], pattern: str, match_s: float) -> T:
    """Do it, within so much processor time: the matcher of `re` lets signals through while it tries."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise _TooLongError

    watched = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGVTALRM, over) if watched else None
    try:
        if watched:
            signal.setitimer(signal.ITIMER_VIRTUAL, match_s)
        return act()
    except _TooLongError:
        why, fix = f"takes longer than {match_s:g} s over one line", "Use a simpler one: no repeat within a repeat."
    except (re.error, RecursionError, OverflowError, MemoryError) as error:
        why, fix = f"is no regular expression: {error}", "Escape what is meant as it stands with a backslash."
    finally:
        if watched:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
    raise UsageError(f"The pattern {pattern[:200]!r} {why}.", where="--grep", fix=fix)
