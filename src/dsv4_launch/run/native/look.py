"""What a native service is doing: its record and the process table together, and the latter has the last word."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from dsv4_launch.run import processes
from dsv4_launch.run.native import service_folder
from dsv4_launch.run.native.service_file import DamagedError, Record
from dsv4_launch.run.native.supervisor import MODULE
from dsv4_launch.run.service import Life, Seen

_LOST = "its end was not seen: its supervisor was killed, or the machine restarted"


def look(folder: Path, *, ours: bool = False) -> Seen | None:
    """The service of a state folder as it is now. Raises HostError when this user may not read it.

    ``ours`` says that the caller has the folder's lock: then nobody launches.
    """
    found = _recorded(folder)
    if (found and found.life != "exited") or ours or not service_folder.launching(folder):
        return found
    # Until its supervisor says a word only the lock tells of a launch: its `dsv4` may have been killed meanwhile.
    record, supervisor, _ = known(folder)
    if record and supervisor and record.supervisor == supervisor:
        return _recorded(folder)  # it has begun by now, or has ended and its supervisor clears up
    launched = service_folder.as_launched(folder) or Record(folder.name, "", {}, "", (), 0, "", "no", "")
    return seen(replace(launched, life="created"), "created", supervisor)


def _recorded(folder: Path) -> Seen | None:
    try:
        record = service_folder.read(folder)
    except DamagedError as error:
        record = rebuilt(folder, f"its state file was damaged: {error}")
        if record is None:
            return _without_record(folder, f"its state file is damaged: {error}")
        _put_back(folder, record)
    if record is None:
        record = rebuilt(folder, "") if _traces(folder) else None
    if record is None:
        return _without_record(folder, "")
    if record.life == "exited":
        return seen(record, "exited")
    if processes.alive(record.server):
        return seen(record, "running", record.server)
    if processes.alive(record.supervisor):
        return seen(record, "restarting" if record.life == "restarting" else "running", record.server)
    if record.server is None and (left := processes.tree(None, None, folder)):
        # The supervisor was killed between starting the server and writing that down.
        return seen(record, "running", left[0])
    if _written_since(folder, record):
        return _recorded(folder)  # its supervisor recorded the end and ended, too, after the record was read
    return seen(replace(record, error=_LOST), "exited")


def _written_since(folder: Path, record: Record) -> bool:
    try:
        return service_folder.read(folder) != record
    except DamagedError:
        return True


def rebuilt(folder: Path, why: str) -> Record | None:
    """The record made anew: as it was at the launch, with what the process table shows; None without any trace.

    ``why`` is the error of one that does not run any more.
    """
    supervisor, tree = _traces(folder) or (None, [])
    base = service_folder.as_launched(folder)
    server = _server_in(tree, supervisor)
    if server is not None:
        words = processes.command_line(server.pid)
        base = base or Record(folder.name, "", {}, processes.owner(server.pid), words, 0, "", "no", "")
        started = processes.started(server)
        return replace(
            base, supervisor=supervisor, server=server, life="running", started=started, argv=words or base.argv
        )
    if base is None:
        return None
    if supervisor is not None:
        return replace(base, supervisor=supervisor, life="created")
    return replace(base, life="exited", error=why or _LOST)


def _traces(folder: Path) -> tuple[processes.Process | None, list[processes.Process]] | None:
    supervisor = supervisor_of(folder)
    tree = processes.tree(supervisor, None, folder)
    return (supervisor, tree) if supervisor or tree else None


def _server_in(tree: list[processes.Process], supervisor: processes.Process | None) -> processes.Process | None:
    """Which process is the server: what the supervisor started, else the leader of a session, else the first."""
    rows = {process.pid: processes.row(process.pid) for process in tree}
    for process in tree:
        row = rows[process.pid]
        if supervisor and row and row.parent == supervisor.pid and row.session == process.pid:
            return process
    leaders = [p for p in tree if (row := rows[p.pid]) is not None and row.session == p.pid]
    return next(iter(leaders or tree), None)


def _put_back(folder: Path, record: Record) -> None:
    """Set the damaged record aside and write the new one, where this user may; others see it rebuilt each time."""
    with contextlib.suppress(OSError):
        service_folder.set_aside(folder)
        service_folder.write(folder, record)


def _without_record(folder: Path, error: str) -> Seen | None:
    """A service as far as the process table alone knows it; None when there is no trace of one."""
    supervisor = supervisor_of(folder)
    tree = processes.tree(supervisor, None, folder)
    if not (supervisor or tree or error):
        return None
    blank = Record(folder.name, "", {}, "", (), 0, "", "no", "", error=error)
    if tree:
        return seen(blank, "running", tree[0])
    return seen(blank, "created" if supervisor else "exited", supervisor)


def supervisor_of(folder: Path) -> processes.Process | None:
    """The supervisor that runs for a state folder, found by its command line."""
    return next((process for process, where in processes.supervisors(MODULE) if where == folder), None)


def known(folder: Path) -> tuple[Record | None, processes.Process | None, processes.Process | None]:
    """The record if it can be read, the supervisor if it is there, and the server that was started last."""
    try:
        record = service_folder.read(folder)
    except DamagedError:
        record = None
    supervisor = record.supervisor if record and processes.alive(record.supervisor) else supervisor_of(folder)
    return record, supervisor, record.server if record else None


def seen(record: Record, life: Life, process: processes.Process | None = None) -> Seen:
    """A record in the words that all drivers share."""
    return Seen(
        name=record.name,
        target="native",
        life=life,
        digest=record.digest,
        config=record.config,
        user=record.user,
        base_url=record.base_url,
        created=record.created,
        started=record.started,
        finished=record.finished,
        exit_code=record.exit_code,
        error=record.error,
        out_of_memory=record.out_of_memory,
        stopped=record.stopped,
        restarts=record.restarts,
        stop_timeout_s=record.stop_timeout_s,
        gpus=record.gpus,
        argv=record.argv,
        restart=record.restart,
        pid=process.pid if process else 0,
    )
