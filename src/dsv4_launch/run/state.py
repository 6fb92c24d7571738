"""Where dsv4 keeps what it knows on this machine: folders and files of their owner alone, written whole or not at all.

Below a root lie ``services`` (`dsv4_launch.run.native.service_folder`), ``history``, ``logs`` and ``watch``. Logs hold
prompts, and configs say where secrets lie: nobody but the owner and root reads them, unless an administrator made the
state folder setgid: then its group does.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsv4_launch.errors import HostError
from dsv4_launch.run import processes

SYSTEM = Path("/var/lib/dsv4")
# Of its owner alone, or below a setgid folder of that group too: for a folder and for a file.
_OWN, _GROUPS = (0o700, 0o600), (0o2750, 0o640)


def roots(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where services are looked for: ``$DSV4_STATE_DIR`` alone, or the system's folder and the user's own."""
    if environ.get("DSV4_STATE_DIR"):
        return (Path(environ["DSV4_STATE_DIR"]).absolute(),)
    home = environ.get("XDG_STATE_HOME") or f"{environ.get('HOME') or Path.home()}/.local/state"
    return (SYSTEM, Path(home) / "dsv4")


def is_name(text: str) -> bool:
    """True for the name of a deployment: it cannot lead out of a folder."""
    from dsv4_launch.config.model import NAME  # here: the supervisor of a server needs no pydantic in its memory

    return re.fullmatch(NAME, text) is not None


def writable_root(environ: Mapping[str, str]) -> Path:
    """The first root in which this user may write, made if it is not there. Raises HostError when there is none."""
    refused = ""
    for root in roots(environ):
        try:
            make(root, 0o755)
        except OSError as error:
            refused = f"{error.filename}: {error.strerror}"
            continue
        if os.access(root, os.W_OK):
            return root
        refused = f"{root}: not writable"
    raise HostError(
        f"State cannot be written anywhere: {refused}.",
        where=str(roots(environ)[-1]),
        fix="Set DSV4_STATE_DIR to a folder that you may write.",
        code="state-folder",
    )


def subfolder(root: Path, kind: str, name: str) -> Path:
    """The folder of a deployment below a root (``services``, ``history``, ``logs``), its owner's alone."""
    folder = root / kind / name
    make(folder.parent, None)
    make_closed(folder)
    return folder


def write_new(path: Path, text: str) -> None:
    """Make a file that is whole as soon as it has its name. Raises FileExistsError when the name is taken.

    What a killed process left half written has a name of its own (``.part-PID``) and goes with the next one.
    """
    for part in path.parent.glob(".part-*"):
        maker = part.name.removeprefix(".part-")
        if not maker.isdecimal() or not processes.row(int(maker)):
            part.unlink(missing_ok=True)
    part = path.parent / f".part-{os.getpid()}"
    try:
        _write_out(part, text)
        os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old one or the new one, also after a power cut."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    _write_out(part, text)
    part.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_out(part: Path, text: str) -> None:
    with open_private(part, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW) as file:
        data = memoryview(text.encode("utf-8", "replace"))
        while data:
            data = data[file.write(data) :]
        os.fsync(file.fileno())


def open_private(path: Path, flags: int) -> Any:
    """A file of a state folder, opened to write: whatever the umask is, its owner's or a setgid folder's group's."""
    mode = _modes(path)[1]
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, mode)
    os.fchmod(handle, mode)
    return os.fdopen(handle, "wb", buffering=0)


def make(folder: Path, mode: int | None) -> None:
    """Make a folder; one that is there keeps its mode, which an administrator may have chosen."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    # A group that the parent hands down is kept; without one it is the group of this user.
    folder.chmod(folder.parent.stat().st_mode & 0o7777 if mode is None else mode)


def make_closed(folder: Path) -> None:
    """Make a folder that is its owner's alone; one that is there stays as it is."""
    make(folder, _modes(folder)[0])


def _modes(path: Path) -> tuple[int, int]:
    """The modes of a folder and of a file that are made here."""
    return _GROUPS if path.parent.stat().st_mode & stat.S_ISGID else _OWN
