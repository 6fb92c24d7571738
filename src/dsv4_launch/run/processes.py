"""Processes as /proc shows them: which one is ours, which belong to its tree, and a signal that cannot go astray.

A pid alone is no identity: it is used again. A pid, its start time and the boot in which it started are.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PROC = Path("/proc")
# In the environment of every process of a service: its state folder. Children inherit it whatever session they open.
MARK = "DSV4_SERVICE"
_DEAD = frozenset("ZXx")


@dataclass(frozen=True, slots=True)
class Process:
    """One process for ever: no other one has this pid, start time (clock ticks since boot) and boot."""

    pid: int
    start_ticks: int
    boot: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the process table."""

    pid: int
    parent: int
    session: int
    start_ticks: int
    state: str


def boot_id(proc: Path = PROC) -> str:
    """This boot of the machine; a container has the boot of its host."""
    try:
        return (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def parse_stat(text: str) -> Row:
    """A line of /proc/PID/stat; the command in it may hold blanks and brackets. Raises ValueError, IndexError."""
    pid, _, rest = text.partition(" (")
    words = rest.rpartition(")")[2].split()
    return Row(int(pid), int(words[1]), int(words[3]), int(words[19]), words[0])


def row(pid: int, proc: Path = PROC) -> Row | None:
    """The process that has this pid now."""
    try:
        return parse_stat((proc / str(pid) / "stat").read_text(errors="replace"))
    except (OSError, ValueError, IndexError):
        return None


def identify(pid: int, proc: Path = PROC) -> Process | None:
    """The identity of the process that has this pid now."""
    found = row(pid, proc)
    return Process(found.pid, found.start_ticks, boot_id(proc)) if found else None


def alive(process: Process | None, proc: Path = PROC) -> bool:
    """True while this very process runs; a zombie does not."""
    found = row(process.pid, proc) if process and process.boot == boot_id(proc) else None
    return bool(found and process and found.start_ticks == process.start_ticks and found.state not in _DEAD)


def table(proc: Path = PROC) -> dict[int, Row]:
    """Every live process that can be seen."""
    rows = (row(int(folder.name), proc) for folder in proc.iterdir() if folder.name.isdigit())
    return {found.pid: found for found in rows if found and found.state not in _DEAD}


def below(rows: dict[int, Row], roots: Iterable[int]) -> set[int]:
    """The descendants of some processes, without them."""
    children: dict[int, list[int]] = {}
    for found in rows.values():
        children.setdefault(found.parent, []).append(found.pid)
    todo, members = list(roots), set[int]()
    while todo:
        new = [pid for pid in children.get(todo.pop(), ()) if pid not in members]
        members.update(new)
        todo += new
    return members


def tree(supervisor: Process | None, server: Process | None, folder: Path, proc: Path = PROC) -> list[Process]:
    """All that a service runs, without its supervisor: by descent, by session, by the mark in the environment.

    Descent is enough while the supervisor lives, as orphans come to it; the rest finds what is left when it was killed.
    """
    rows, boot = table(proc), boot_id(proc)
    leaders = [p.pid for p in (supervisor, server) if p and alive(p, proc)]
    members = below(rows, leaders)
    session = _session(server, rows, proc) if server and server.boot == boot else set[int]()
    members |= session | below(rows, session)
    members |= {pid for pid in rows if pid not in members and _marked(pid, folder, proc)}
    members -= {supervisor.pid if supervisor else 0, os.getpid()}
    return [Process(pid, rows[pid].start_ticks, boot) for pid in sorted(members) if pid in rows]


def _session(server: Process, rows: dict[int, Row], proc: Path) -> set[int]:
    """The live processes of a server's session, which outlives it: while one is left, no new process gets its pid.

    vLLM's engine processes carry no mark that can be read (their titles are written over their environment).
    """
    leader = row(server.pid, proc)
    if leader and leader.start_ticks != server.start_ticks:
        return set()
    return {one.pid for one in rows.values() if one.session == server.pid and one.start_ticks >= server.start_ticks}


def command_line(pid: int, proc: Path = PROC) -> tuple[str, ...]:
    """The words that a process was started with; () when it is gone."""
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return ()
    return tuple(word.decode("utf-8", "replace") for word in words)


def owner(pid: int, proc: Path = PROC) -> str:
    """The user whom a process belongs to; "" when it is gone."""
    try:
        return (proc / str(pid)).owner()
    except KeyError:
        return str((proc / str(pid)).stat().st_uid)
    except OSError:
        return ""


def started(process: Process, proc: Path = PROC) -> str:
    """When a process was started, as ISO 8601 UTC; "" when the boot's time cannot be read."""
    try:
        text = (proc / "stat").read_text()
        boot_s = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("btime "))
    except (OSError, StopIteration, ValueError):
        return ""
    when = datetime.fromtimestamp(boot_s + process.start_ticks / os.sysconf("SC_CLK_TCK"), UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _marked(pid: int, folder: Path, proc: Path) -> bool:
    try:
        words = (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(f"{MARK}={folder}") in words


def supervisors(module: str, proc: Path = PROC) -> Iterator[tuple[Process, Path]]:
    """Running supervisors and the state folder of each, by their command lines, which every user may read."""
    for pid in table(proc):
        with contextlib.suppress(OSError):
            words = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
            if os.fsencode(module) in words[:-1]:
                found = identify(pid, proc)
                if found:
                    yield found, Path(os.fsdecode(words[words.index(os.fsencode(module)) + 1]))


def send(process: Process, number: int) -> bool:
    """Signal this very process, never one that took its pid since; False when it is gone.

    Raises PermissionError when it belongs to another user.
    """
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The handle is of whatever has the pid now; if that is the process meant, it stays that one.
        if not alive(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
