"""What a container gets that nobody set anything for, and the NVIDIA toolkit beside a local engine.

The engine's API tells neither: the daemon's own limits, its command line and its configuration file do.
"""

import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from dsv4_launch.host.looking import CouldNotLook, Note, clean, spell

PROC = Path("/proc")
CONFIG = "/etc/docker/daemon.json"
ASK_S = 3.0
TOOLKIT = ("nvidia-ctk", "nvidia-container-cli")
# Names of /proc/PID/limits by the names that --ulimit has.
KERNEL_NAMES = {"nofile": "Max open files", "memlock": "Max locked memory"}


def read_default_ulimits(url: str, proc: Path = PROC) -> dict[str, int]:
    """Hard limits of a container without --ulimit: what the daemon inherits to it, unless the daemon is told otherwise.

    Errors: CouldNotLook where the daemon's process is not seen.
    """
    if not url.startswith("unix://"):
        raise CouldNotLook("the engine is not on this machine")
    folder = proc / str(_daemon(url.removeprefix("unix://"), proc))
    try:
        words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        limits = own_limits((folder / "limits").read_text())
    except OSError as error:
        raise CouldNotLook(spell(error)) from error
    return limits | _configured(_option(words, "--config-file") or CONFIG) | _asked(words)


def read_toolkit(note: Note, env: Mapping[str, str]) -> str | None:
    """The version of the NVIDIA container toolkit, "" where none is installed, None where it does not tell."""
    program = next((found for name in TOOLKIT if (found := shutil.which(name, path=env.get("PATH")))), None)
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=ASK_S, check=False, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        note("docker.toolkit_version", spell(error))
        return None
    version = re.search(r"(?:version|cli-version):?\s+v?(\d+\.\d+\.\d+[\w.-]*)", done.stdout)
    if version is None:
        note("docker.toolkit_version", f"`{clean(program)} --version` names none")
        return None
    return clean(version.group(1))


def read_device_links(dev: Path = Path("/dev")) -> bool:
    """Whether /dev/char names every GPU device, as udev does for other drivers' devices: runc looks them up there."""
    for device in dev.glob("nvidia*"):
        status = device.stat()
        if stat.S_ISCHR(status.st_mode):
            number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
            if not (dev / "char" / number).exists():
                return False
    return True


def own_limits(text: str) -> dict[str, int]:
    """The hard limits of a process, from the text of /proc/PID/limits."""
    found = {}
    for name, words in KERNEL_NAMES.items():
        match = re.search(rf"^{words} +(\S+) +(\S+)", text, re.MULTILINE)
        if match is not None:
            found[name] = -1 if match.group(2) == "unlimited" else int(match.group(2))
    return found


def _daemon(path: str, proc: Path) -> int:
    """The process that listens at a socket. One that systemd opened for the daemon belongs to systemd: then by name."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(ASK_S)
            probe.connect(path)
            size = struct.calcsize("3i")
            pid, _uid, _gid = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    except OSError as error:
        raise CouldNotLook(spell(error)) from error
    if _comm(proc, pid) == "dockerd":
        return int(pid)
    named = [int(item.name) for item in proc.iterdir() if item.name.isdigit() and _comm(proc, item.name) == "dockerd"]
    if len(named) == 1:
        return named[0]
    raise CouldNotLook("the engine's process is not to be told from here")


def _comm(proc: Path, pid: int | str) -> str:
    try:
        return (proc / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _option(words: list[str], name: str) -> str | None:
    values = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    values += [after for word, after in pairwise(words) if word == name]
    return values[-1] if values else None


def _asked(words: list[str]) -> dict[str, int]:
    """`--default-ulimit nofile=1024:2048` of the daemon's command line."""
    texts = [word.partition("=")[2] for word in words if word.startswith("--default-ulimit=")]
    texts += [after for word, after in pairwise(words) if word == "--default-ulimit"]
    found = {}
    for text in texts:
        match = re.fullmatch(r"(\w+)=(-?\d+)(?::(-?\d+))?", text)
        if match is not None and match.group(1) in KERNEL_NAMES:
            found[match.group(1)] = max(-1, int(match.group(3) or match.group(2)))
    return found


def _configured(path: str) -> dict[str, int]:
    try:
        data: Any = json.loads(Path(path).read_text())
        rows = data.get("default-ulimits") or {}
        return {name: max(-1, int(row["Hard"])) for name, row in rows.items() if name in KERNEL_NAMES}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}  # the daemon itself does not start with a broken one
