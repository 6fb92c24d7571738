"""Running commands for the rig: one line said for each, and a failure that shows the command's last lines."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

STARTED_S = time.monotonic()


class RigError(RuntimeError):
    """The rig cannot go on; `exit_code` is 5 when this machine cannot, 6 when a tool failed."""

    def __init__(self, message: str, exit_code: int = 6) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def rig_home() -> Path:
    """Where engines, images' parts and logs are kept; not in /tmp, which is often a small tmpfs."""
    return Path(os.environ.get("DSV4_RIG_HOME") or "/var/tmp/dsv4-rig")


def say(what: str) -> None:
    """One progress line, with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED_S:4.0f} s] {what}", flush=True)


def run(command: Sequence[str | Path], what: str = "", env: dict[str, str] | None = None) -> str:
    """Run to the end and return what it printed. Raises RigError with its last lines."""
    if what:
        say(what)
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError as error:
        raise RigError(f"{words[0]} is not installed") from error
    if done.returncode != 0:
        tail = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise RigError(f"`{shlex.join(words)[:200]}` exited {done.returncode}:\n  {tail}")
    return done.stdout


def answers(command: Sequence[str | Path], env: dict[str, str] | None = None) -> bool:
    """Whether a command ends well, within half a minute."""
    try:
        return subprocess.run(command, env=env, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def install(binaries: dict[str, str]) -> None:
    """Install the Debian or Ubuntu packages of those binaries that are missing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = sorted({package for binary, package in binaries.items() if not _which(binary, path)})
    if not missing:
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3"]
    run([*get, "update"], f"apt-get update, then install {' '.join(missing)}", env)
    run([*get, "install", "--no-install-recommends", *missing], env=env)


def _which(binary: str, path: str) -> bool:
    return any(os.access(Path(folder) / binary, os.X_OK) for folder in path.split(":") if folder)
