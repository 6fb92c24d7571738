"""The small parent of a native server: it outlives ``dsv4``, learns how the server ended, and clears up after it.

``python -m dsv4_launch.run.native.supervisor FOLDER`` reads its orders as JSON on standard input (so that they are in
no command line and no file), answers one line of JSON on standard output once the server runs, and then needs nobody:
its creator may be killed at any time. Before the orders are complete it does nothing; then `find` and `stop` know it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dsv4_launch.run import processes
from dsv4_launch.run import shared_memory as memory
from dsv4_launch.run.native import log as native_log
from dsv4_launch.run.native import service_folder
from dsv4_launch.run.native.ending import Ending, delay_s, describe, fails
from dsv4_launch.run.native.service_file import Record, parse

MODULE = "dsv4_launch.run.native.supervisor"
# What a server leaves running when it dies has this long to see that and end by itself.
LINGER_S = 5.0
# How much of the end of a server's log is kept, unless the variable says otherwise; how often that is looked at.
KEPT_BYTES, LOG_BYTES, LOOK_EVERY_S = 256 * 1024 * 1024, "DSV4_LOG_BYTES", 5.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
_WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}


@dataclass(slots=True)
class _Run:
    """What changes while a service lives."""

    folder: Path
    record: Record
    environ: Mapping[str, str]
    stopping: bool = False
    segments: set[str] = field(default_factory=set)
    unbounded: bool = False

    def note(self, **changes: Any) -> None:
        """Change the record, on disk too. A full disk must not end the server that it tells about."""
        self.record = replace(self.record, **changes)
        try:
            service_folder.write(self.folder, self.record)
        except OSError as error:
            _say(f"the state file cannot be written: {error}")


def main() -> int:
    """Run one service until it has ended for good; returns the exit code of the supervisor, not the server's."""
    folder = Path(sys.argv[1])
    try:
        orders = json.loads(sys.stdin.read())
    except ValueError:
        return 1  # whoever launched was killed before the orders were complete: nothing has happened yet
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    # Orphans of the server come to this process instead of init, so that its whole tree can be found and ended.
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    me = processes.identify(os.getpid())
    record = replace(parse(json.dumps(orders["record"]).encode()), supervisor=me)
    run = _Run(folder, record, {**os.environ, **orders["env"], processes.MARK: str(folder)})
    answered = False
    while True:
        failure = _one_life(run, answered)
        if failure and not answered:
            return 1
        answered = True
        if not _again(run):
            return 0


def _one_life(run: _Run, answered: bool) -> str:
    """Start the server, wait for its end, clear up, and record how it ended. Returns why it could not be started."""
    _say(f"start of {run.record.name} for {run.record.user}: {' '.join(run.record.argv)}")
    ooms = _out_of_memory_kills()
    run.note(life="created", finished="")
    try:
        # Not `with`: the exit status is collected below, together with that of any orphan.
        server = subprocess.Popen(
            run.record.argv,
            env=run.environ,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=_unblock,
        )
    except OSError as error:
        why = f"{run.record.argv[0]} cannot be started: {error.strerror}"
        run.note(life="exited", finished=_now(), error=why)
        if not answered:
            _answer({"error": why})
        return why
    process = processes.identify(server.pid)
    run.note(life="running", server=process, started=_now(), finished="", exit_code=None, error="", out_of_memory=False)
    if not answered:
        _answer({"started": server.pid})
    code = _wait(run, server)
    oom = code == -signal.SIGKILL and not run.stopping and _out_of_memory_kills() > ooms
    ending = describe(code, oom=oom)
    _say(f"end of {run.record.name}: {ending.text}")
    _record_end(run, ending)
    _clear(run, process)
    return ""


def _record_end(run: _Run, ending: Ending) -> None:
    again = run.record.restart == "on-failure" and fails(ending) and not run.stopping
    run.note(
        life="restarting" if again else "exited",
        finished=_now(),
        exit_code=ending.exit_code,
        error="" if run.stopping else ending.text if fails(ending) else "",
        out_of_memory=ending.out_of_memory,
        stopped=run.stopping,
        restarts=run.record.restarts + again,
    )


def _again(run: _Run) -> bool:
    """Wait until it is time to start again; False when it is not to be."""
    if run.record.life != "restarting":
        return False
    deadline = time.monotonic() + delay_s(run.record.restarts)
    while (left := deadline - time.monotonic()) > 0:
        got = signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, left)
        if got is not None:
            run.stopping = True
            run.note(life="exited", stopped=True)
            return False
    return True


def _wait(run: _Run, server: subprocess.Popen[bytes]) -> int:
    """The server's exit status (negative: the signal), passing on a request to stop meanwhile."""
    while True:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == server.pid:
                    server.returncode = os.waitstatus_to_exitcode(ended[1])
                    return server.returncode
        got = signal.sigtimedwait(_WATCHED, LOOK_EVERY_S)
        _bound_log(run)
        if got is not None and got.si_signo != signal.SIGCHLD:
            run.stopping = True
            run.segments |= memory.mapped(processes.tree(run.record.supervisor, run.record.server, run.folder))
            # Not reaped yet, so the pid is still the server's.
            os.kill(server.pid, signal.SIGTERM)


def _bound_log(run: _Run) -> None:
    """Keep the log within its bytes. Where its file system cannot do that, it is said once."""
    if run.unbounded:
        return
    limit = run.environ.get(LOG_BYTES, "")
    try:
        native_log.bound(2, int(limit) if limit.isdecimal() else KEPT_BYTES)
    except OSError as error:
        run.unbounded = True
        _say(f"the log grows without a limit: {error.strerror}")


def _clear(run: _Run, server: processes.Process | None) -> None:
    """End what the server left: engine processes hold GPU memory. They get a moment, then no choice."""
    deadline = time.monotonic() + LINGER_S
    while left := processes.tree(run.record.supervisor, server, run.folder):
        run.segments |= memory.mapped(left)
        if time.monotonic() > deadline:
            for process in left:
                processes.send(process, signal.SIGKILL)
        time.sleep(0.05)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    memory.release(run.segments)
    run.segments.clear()


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)


def _out_of_memory_kills() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _answer(answer: Mapping[str, object]) -> None:
    """Tell the creator, who may be gone. After that the pipe is closed: nobody waits for the rest."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(answer).encode() + b"\n")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def _say(text: str) -> None:
    """A line of ours in the server's log."""
    with contextlib.suppress(OSError):
        os.write(2, f"--- dsv4 {_now()} {text}\n".encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


if __name__ == "__main__":
    sys.exit(main())
