"""The driver of native services: a ``vllm serve`` process of this machine, its own small parent, its log on disk."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dsv4_launch.errors import HostError, ToolError
from dsv4_launch.plan.types import Plan
from dsv4_launch.run import processes
from dsv4_launch.run import shared_memory as memory
from dsv4_launch.run.logs.filter import later
from dsv4_launch.run.native import launch as native_launch
from dsv4_launch.run.native import log as native_log
from dsv4_launch.run.native import service_folder
from dsv4_launch.run.native.look import known, look
from dsv4_launch.run.native.service_file import DamagedError
from dsv4_launch.run.native.supervisor import LINGER_S
from dsv4_launch.run.service import Seen
from dsv4_launch.values import Command

_FORCED_S = 10.0
# Beyond its patience, what a supervisor may take to clear up after its server.
_CLEARING_S = 15.0
# How long a launch under way may take until there is something to stop.
_LAUNCH_S = 40.0


class NativeDriver:
    """Services of the native target. ``environ`` says where their state lies; this process's own if not given."""

    name: Literal["native"] = "native"

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = dict(os.environ) if environ is None else dict(environ)

    def find(self, name: str) -> Seen | None:
        """The service of this name, or None. Raises HostError when its state may not be read."""
        folder = service_folder.existing(name, self._environ)
        found = look(folder) if folder else None
        if folder and not found:
            service_folder.tidy(folder)
        return found

    def all(self) -> list[Seen]:
        """Every native service whose state this user may read."""
        found: list[Seen] = []
        for folder in service_folder.folders(self._environ):
            try:
                seen = look(folder)
            except HostError:
                continue
            found += [seen] if seen else []
        return found

    def create(self, name: str, command: Command, environ: Mapping[str, str], plan: Plan | None = None) -> None:
        """Start the server in a session of its own; it stays when this process ends, however that happens.

        Raises HostError (``no-executable``, ``secret-missing``, ``name-taken``, ``state-folder``), and ToolError when
        the program cannot be started.
        """
        program = native_launch.locate(command, environ, plan)
        extra = native_launch.variables(command, environ)
        folder = service_folder.prepare(name, self._environ)
        lock = _hold(folder, to_launch=True)
        try:
            native_launch.make_room(folder)
            chosen = str(command.env.get("CUDA_VISIBLE_DEVICES", ""))
            record = native_launch.new_record(name, (program, *map(str, command.argv[1:])), plan, chosen)
            native_launch.hand_over(folder, record, extra, native_launch.inherited(environ, plan), lock)
        finally:
            os.close(lock)

    def logs(self, name: str, *, follow: bool, tail: int | None, since: datetime | None = None) -> Iterator[str]:
        """Log lines, oldest first; with ``follow`` until the service has ended and all that it wrote is told.

        ``since`` goes by the times that the lines carry.
        """
        folder = self._folder(name)

        def ended() -> bool:
            seen = look(folder) if folder.is_dir() else None
            return seen is None or seen.life == "exited"

        found = native_log.lines(folder / service_folder.LOG, tail=tail, ended=ended if follow else None)
        return found if since is None else later(found, since, datetime.now(UTC))

    def follow(self, name: str, over: Callable[[], bool]) -> Iterator[str]:
        """What its log gains from now on, over its restarts, until ``over``: all its lives write to one file."""
        return native_log.lines(self._folder(name) / service_folder.LOG, tail=0, ended=over)

    def pids(self, name: str) -> frozenset[int]:
        """The server's processes and their supervisor."""
        folder = self._folder(name)
        _, supervisor, server = known(folder)
        found = [*processes.tree(supervisor, server, folder), *([supervisor] if supervisor else [])]
        return frozenset(process.pid for process in found)

    def stop(self, name: str, timeout_s: float) -> None:
        """SIGTERM to the server, ``timeout_s`` of patience, then SIGKILL to all of its tree: nothing is left.

        Raises HostError (``not-yours``, ``name-taken`` for a launch that does not get on), ToolError.
        """
        folder = service_folder.existing(name, self._environ)
        if folder is None:
            return  # another stop was faster
        _end(folder, timeout_s)
        # A launch that had begun before goes on, even when its `dsv4` was killed: what it starts ends, too.
        deadline = time.monotonic() + _LAUNCH_S
        while service_folder.launching(folder):
            if time.monotonic() > deadline:
                raise _taken(folder, "is being launched by another process")
            time.sleep(0.05)
            _end(folder, timeout_s)

    def remove(self, name: str) -> None:
        """Forget a service that has ended: its folder and its log go. Raises HostError while it runs."""
        folder = service_folder.existing(name, self._environ)
        if folder is None:
            return
        try:
            lock = _hold(folder)
            try:
                native_launch.kill_all(folder)
                service_folder.forget(folder)
            finally:
                os.close(lock)
        except PermissionError:
            raise HostError(f"The state of {name} belongs to another user.", where=str(folder)) from None

    def _folder(self, name: str) -> Path:
        folder = service_folder.existing(name, self._environ)
        if folder is None:
            raise HostError(f"There is no native service named {name}.", where=name, code="absent")
        return folder


def _end(folder: Path, timeout_s: float) -> None:
    """End what runs of a service now, and record that."""
    record, supervisor, server = known(folder)
    segments = memory.mapped(processes.tree(supervisor, server, folder))
    try:
        _ask(folder, supervisor, server)
        _wait_for_none(folder, supervisor, server, timeout_s)
        _force(folder, supervisor, server)
    except PermissionError:
        raise HostError(
            f"{folder.name} was launched by {record.user if record else 'another user'}.",
            where=str(folder),
            fix="Only that user or root may stop it.",
            code="not-yours",
        ) from None
    if processes.alive(supervisor) or processes.tree(None, server, folder):
        raise ToolError(f"Processes of {folder.name} do not end, not even by SIGKILL.", where=str(folder))
    memory.release(segments)
    _close(folder)


def _ask(folder: Path, supervisor: processes.Process | None, server: processes.Process | None) -> None:
    """Ask for a graceful end. The supervisor passes it on, and records that the end was asked for."""
    if supervisor and processes.send(supervisor, signal.SIGTERM):
        return
    if server and processes.send(server, signal.SIGTERM):
        return
    for process in processes.tree(None, None, folder):
        processes.send(process, signal.SIGTERM)


def _wait_for_none(
    folder: Path, supervisor: processes.Process | None, server: processes.Process | None, timeout_s: float
) -> bool:
    """Wait until no process of the service is left; False when time is up first."""
    deadline = time.monotonic() + timeout_s
    while processes.alive(supervisor) or processes.tree(supervisor, server, folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _force(folder: Path, supervisor: processes.Process | None, server: processes.Process | None) -> None:
    """End what is left: the server's tree first, so that its supervisor can still record how it ended."""
    deadline = time.monotonic() + _FORCED_S
    patience = time.monotonic() + LINGER_S / 2
    while time.monotonic() < deadline:
        left = processes.tree(supervisor, server, folder)
        for process in left:
            processes.send(process, signal.SIGKILL)
        if supervisor and not left and time.monotonic() > patience:
            processes.send(supervisor, signal.SIGKILL)
        if not left and not processes.alive(supervisor):
            return
        time.sleep(0.05)
    if supervisor:
        processes.send(supervisor, signal.SIGKILL)


def _close(folder: Path) -> None:
    """Record the stop where no supervisor was left to do so."""
    with contextlib.suppress(FileNotFoundError):  # another stop has removed it
        try:
            record = service_folder.read(folder)
            if record and record.life != "exited":
                now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                service_folder.write(folder, replace(record, life="exited", stopped=True, finished=now))
        except DamagedError:
            service_folder.set_aside(folder)


def _hold(folder: Path, *, to_launch: bool = False) -> int:
    """The lock of a service that does not run. One that has just ended is waited for: its supervisor clears up.

    Raises HostError when it runs, or is being launched by another process.
    """
    deadline = time.monotonic() + LINGER_S + _CLEARING_S
    while True:
        lock = service_folder.hold(folder, to_launch=to_launch)
        found = look(folder, ours=lock is not None)
        if lock is not None and (found is None or found.life == "exited"):
            return lock
        if lock is not None:
            os.close(lock)
        if found and found.life not in ("exited", "created"):
            raise _taken(folder, f"runs already (pid {found.pid})")
        if time.monotonic() > deadline:
            raise _taken(folder, "is being launched by another process")
        time.sleep(0.05)


def _taken(folder: Path, why: str) -> HostError:
    name = folder.name
    fix = f"`dsv4 status {name}` shows it; `dsv4 stop {name}` ends it; or launch under another name (--set name=…)."
    return HostError(f"A native service named {name} {why}.", where=str(folder), fix=fix, code="name-taken")
