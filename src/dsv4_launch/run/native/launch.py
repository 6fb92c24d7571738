"""Starting a native service: what must be there, what the server inherits, and the hand-over to its supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import dsv4_launch
from dsv4_launch.errors import HostError, ToolError
from dsv4_launch.plan.secrets import withheld
from dsv4_launch.plan.types import Plan
from dsv4_launch.run import processes, state
from dsv4_launch.run.native import service_folder
from dsv4_launch.run.native.service_file import SCHEMA, DamagedError, Record
from dsv4_launch.run.native.supervisor import MODULE
from dsv4_launch.targets.base import plan_digest
from dsv4_launch.targets.native import render
from dsv4_launch.values import Command, to_data

_ANSWER_S = 30.0


def locate(command: Command, environ: Mapping[str, str], plan: Plan | None) -> str:
    """The program that the command starts. Raises HostError with what to install."""
    program = str(command.argv[0])
    found = shutil.which(program, path=str(command.env.get("PATH", environ.get("PATH") or os.defpath)))
    if found:
        return found
    if plan and plan.rehearsal:
        fix = "In a checkout, `python3 scripts/vllm_cpu_env.py` makes it (./scripts/quickstart does that too)."
    else:
        version = plan.vllm if plan else "VERSION"
        known = _constraints(version)
        words = f"vllm=={version} -c {known}" if known else f"vllm=={version}"
        fix = f"Install it: `uv pip install {words}`; or set target.executable."
    raise HostError(f"There is no program {program} here.", where="target.executable", fix=fix, code="no-executable")


def _constraints(version: str) -> Path | None:
    """The shipped file of what an installation of the release needs: in the wheel, or beside src in a checkout."""
    package = Path(dsv4_launch.__file__).resolve().parent
    files = (folder / "constraints" / f"{version}.txt" for folder in (package, package.parents[1]))
    return next((file for file in files if file.is_file()), None)


def variables(command: Command, environ: Mapping[str, str]) -> dict[str, str]:
    """What the server's environment has besides ours. Raises HostError when a secret is named but not there."""
    found = {name: str(value) for name, value in command.env.items()}
    for name, source in command.env_from.items():
        if not environ.get(source):
            raise HostError(
                f"The variable {source} is not set; the server gets {name} from it.",
                where=source,
                fix=f"Export {source} in the shell that launches.",
                code="secret-missing",
            )
        found[name] = environ[source]
    return found


def inherited(environ: Mapping[str, str], plan: Plan | None) -> dict[str, str]:
    """What the server and its supervisor get of our environment."""
    kept_back = withheld(environ, plan)
    return {name: value for name, value in environ.items() if name not in kept_back}


def new_record(name: str, argv: tuple[str, ...], plan: Plan | None, gpus: str = "") -> Record:
    """The record of a service that is about to be launched."""
    return Record(
        name=name,
        digest=plan_digest(plan, render(plan).command) if plan else "",
        config=plan.config if plan else {},
        user=_user(),
        argv=argv,
        port=plan.port if plan else 0,
        base_url=plan.base_url if plan else "",
        restart=plan.native.restart if plan else "no",
        stop_timeout_s=plan.stop_timeout_s if plan else 0,
        gpus=gpus,
        created=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def make_room(folder: Path) -> None:
    """Clear what an earlier service of this name left: processes, and a state file that cannot be read."""
    kill_all(folder)
    try:
        service_folder.read(folder)
    except DamagedError:
        service_folder.set_aside(folder)


def kill_all(folder: Path) -> None:
    """SIGKILL to all that carries the mark of a service which has ended; engine processes may hold GPU memory."""
    deadline = time.monotonic() + 5
    while (left := processes.tree(None, None, folder)) and time.monotonic() < deadline:
        for process in left:
            processes.send(process, signal.SIGKILL)
        time.sleep(0.05)


def hand_over(folder: Path, record: Record, extra: Mapping[str, str], environ: Mapping[str, str], lock: int) -> None:
    """Start the supervisor, give it its orders and the lock, wait until the server runs.

    ``environ`` is inherited, ``extra`` the server's own.
    An interruption meanwhile stops what was started. Raises ToolError when the server cannot be started.
    """
    service_folder.write(folder, record, service_folder.LAUNCH)
    orders = json.dumps({"record": {"version": SCHEMA, **to_data(record)}, "env": dict(extra)})
    with state.open_private(folder / service_folder.LOG, os.O_WRONLY | os.O_APPEND) as log:
        supervisor = subprocess.Popen(
            # -P: a file in the current folder must not be taken for a module.
            [sys.executable, "-P", "-m", MODULE, str(folder)],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
        )
    try:
        answer = _answer(supervisor, orders.encode())
    except BaseException:
        supervisor.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(_ANSWER_S)
        raise
    finally:
        for pipe in (supervisor.stdin, supervisor.stdout):
            if pipe:
                pipe.close()
    if "started" in answer:
        supervisor.returncode = 0  # it is to outlive us: nobody waits for it
        return
    supervisor.wait(_ANSWER_S)
    raise ToolError(
        answer.get("error") or "The supervisor of the server died at once.", where=str(folder / service_folder.LOG)
    )


def _answer(supervisor: subprocess.Popen[bytes], orders: bytes) -> dict[str, str]:
    if supervisor.stdin is None or supervisor.stdout is None:
        return {}
    with contextlib.suppress(BrokenPipeError):
        supervisor.stdin.write(orders)
        supervisor.stdin.close()
    if not select.select([supervisor.stdout], [], [], _ANSWER_S)[0]:
        raise ToolError(f"The supervisor of the server did not answer within {_ANSWER_S:.0f} s.")
    line = supervisor.stdout.readline()
    answer: dict[str, str] = json.loads(line) if line.endswith(b"\n") else {}
    return answer


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
