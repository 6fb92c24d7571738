"""Fabric Manager as it is installed and runs here. NVML's fabric state decides whether it is needed at all."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from dsv4_launch.facts import FabricManager
from dsv4_launch.host.looking import Note, clean, spell

PROC = Path("/proc")
ASK_S = 3.0
PROGRAM = "nv-fabricmanager"
SUBNET_MANAGER = "nvlsm"
COMM_LENGTH = 15  # the kernel cuts a process name to so many characters


def read_fabric(note: Note, path: str | None = None, proc: Path = PROC) -> FabricManager:
    """Whether Fabric Manager is installed, in which version, and whether it and NVLSM run."""
    program = shutil.which(PROGRAM, path=path)
    running = set(_commands(proc))
    return FabricManager(
        installed=program is not None,
        version=None if program is None else _version(program, note),
        running=PROGRAM[:COMM_LENGTH] in running,
        nvlsm_running=SUBNET_MANAGER in running,
    )


def _version(program: str, note: Note) -> str | None:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=ASK_S, check=False, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        note("fabric_manager.version", spell(error))
        return None
    found = re.search(r"\d+\.\d+(?:\.\d+)*", done.stdout)
    if found is None:
        note("fabric_manager.version", f"`{PROGRAM} --version` ended with {done.returncode} and names none")
        return None
    return clean(found.group(0))


def _commands(proc: Path) -> Iterable[str]:
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                yield (folder / "comm").read_text(errors="replace").strip()
            except OSError:
                continue
