"""The state folder of native services: one folder a deployment, its owner's alone, written whole or not at all.

Docker keeps labels for us; a native service has this folder instead: ``service.json`` (who launched what, when, and how
it ended), ``launch.json`` (the same, as it was at the launch), ``server.log``, and ``lock``, which whoever launches
holds. Logs hold prompts, and configs say where secrets lie: nobody but the owner and root reads them, unless an
administrator made the state folder setgid: then its group does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dsv4_launch.errors import HostError
from dsv4_launch.run.native import processes
from dsv4_launch.run.native.service_file import DamagedError, Record, dump, parse

SYSTEM = Path("/var/lib/dsv4")
RECORD, LOG, LOCK = "service.json", "server.log", "lock"
# The record as it was at the launch: written once, so that a damaged one can be made anew from it.
LAUNCH = "launch.json"
# What the lock's file holds while its holder launches, or runs what was launched.
_LAUNCHING = b"launch"
# Of its owner alone, or below a setgid folder of that group too: for a folder and for a file.
_OWN, _GROUPS = (0o700, 0o600), (0o2750, 0o640)


def roots(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where services are looked for: ``$DSV4_STATE_DIR`` alone, or the system's folder and the user's own."""
    if environ.get("DSV4_STATE_DIR"):
        return (Path(environ["DSV4_STATE_DIR"]).absolute(),)
    home = environ.get("XDG_STATE_HOME") or f"{environ.get('HOME') or Path.home()}/.local/state"
    return (SYSTEM, Path(home) / "dsv4")


def folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Every service folder that is there."""
    for root in roots(environ):
        with contextlib.suppress(OSError):
            yield from sorted(path for path in (root / "services").iterdir() if path.is_dir())


def is_name(text: str) -> bool:
    """True for the name of a deployment: it cannot lead out of a folder."""
    from dsv4_launch.config.model import NAME  # here: the supervisor of a server needs no pydantic in its memory

    return re.fullmatch(NAME, text) is not None


def existing(name: str, environ: Mapping[str, str]) -> Path | None:
    """The folder of a service that this user may see, or None. A text that is no deployment name has none."""
    if not is_name(name):
        return None
    # os.path: a state folder that this user may not enter holds nothing for this user, and is no error.
    found = (root / "services" / name for root in roots(environ))
    return next((path for path in found if os.path.isdir(path)), None)  # noqa: PTH112


def prepare(name: str, environ: Mapping[str, str]) -> Path:
    """The folder for a new service, made where this user may. Raises HostError when nowhere."""
    found = existing(name, environ)
    if found is not None and not os.access(found, os.W_OK):
        raise HostError(
            f"A service named {name} belongs to another user.",
            where=str(found),
            fix="Launch under another name (--set name=…), or have its owner stop it.",
            code="name-taken",
        )
    if found is not None:
        return found
    refused = ""
    for root in roots(environ):
        folder = root / "services" / name
        try:
            _make(root, 0o755)
            _make(folder.parent, None)
            _make(folder, _modes(folder)[0])
        except OSError as error:
            refused = f"{error.filename}: {error.strerror}"
            continue
        return folder
    raise HostError(
        f"The state of a native service cannot be written anywhere: {refused}.",
        where=str(roots(environ)[-1]),
        fix="Set DSV4_STATE_DIR to a folder that you may write.",
        code="state-folder",
    )


def writable_root(environ: Mapping[str, str]) -> Path:
    """The first root in which this user may write, made if it is not there. Raises HostError when there is none."""
    refused = ""
    for root in roots(environ):
        try:
            _make(root, 0o755)
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
    """The folder of a deployment below a root (``history``, ``logs``), as closed as that of a service."""
    folder = root / kind / name
    _make(folder.parent, None)
    _make(folder, _modes(folder)[0])
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
        with open_private(part, os.O_WRONLY | os.O_TRUNC) as file:
            data = memoryview(text.encode("utf-8", "replace"))
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def _make(folder: Path, mode: int | None) -> None:
    """Make a folder; one that is there keeps its mode, which an administrator may have chosen."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    # A group that the parent hands down is kept; without one it is the group of this user.
    folder.chmod(folder.parent.stat().st_mode & 0o7777 if mode is None else mode)


def _modes(path: Path) -> tuple[int, int]:
    """The modes of a folder and of a file that are made here."""
    return _GROUPS if path.parent.stat().st_mode & stat.S_ISGID else _OWN


def write(folder: Path, record: Record, name: str = RECORD) -> None:
    """Replace the record in one step: a reader sees the old one or the new one, also after a power cut."""
    part = folder / f".{name}.{os.getpid()}"
    with open_private(part, os.O_WRONLY | os.O_TRUNC) as file:
        file.write(dump(record).encode())
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / name)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_private(path: Path, flags: int) -> Any:
    """A file of a state folder, opened to write: whatever the umask is, its owner's or a setgid folder's group's."""
    mode = _modes(path)[1]
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, mode)
    os.fchmod(handle, mode)
    return os.fdopen(handle, "wb", buffering=0)


def read(folder: Path) -> Record | None:
    """The record of a folder, or None when none was written yet.

    Raises DamagedError when it is not whole, HostError when this user may not read it: that is not "absent".
    """
    try:
        text = (folder / RECORD).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(
            f"The state of {folder.name} cannot be read: {error.strerror}.",
            where=str(folder),
            fix="The user that launched it and root may read it: run the command as one of them.",
            code="state-unreadable",
        ) from None
    record = parse(text)
    if record.name != folder.name:
        raise DamagedError("it is about another deployment")
    return record


def as_launched(folder: Path) -> Record | None:
    """The record as it was at the launch, or None when that cannot be read either."""
    try:
        return parse((folder / LAUNCH).read_bytes())
    except (OSError, DamagedError):
        return None


def set_aside(folder: Path) -> Path:
    """Keep a damaged record under another name, for a person to look at."""
    aside = folder / f"{RECORD}.damaged"
    (folder / RECORD).replace(aside)
    return aside


def hold(folder: Path, *, to_launch: bool = False) -> int | None:
    """Take the folder's lock; None when another one has it. The lock lives as long as any copy of the handle."""
    while True:
        try:
            _make(folder, _modes(folder)[0])
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWN[1])
        except FileNotFoundError:
            continue  # removed between these two lines
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever removed the folder meanwhile took the name of this lock with it: take the new one.
            if os.path.samestat(os.fstat(handle), (folder / LOCK).stat()):
                with contextlib.suppress(OSError):  # a full disk is told by what cannot do without it
                    os.ftruncate(handle, 0)
                    os.write(handle, _LAUNCHING if to_launch else b"")
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        os.close(handle)


def launching(folder: Path) -> bool:
    """True while another process has the lock to launch; False where this user may not ask, or nobody ever took it."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(handle, len(_LAUNCHING), 0) == _LAUNCHING
    finally:
        os.close(handle)
    return False


def tidy(folder: Path) -> None:
    """Remove the folder of a launch that was killed before anything ran: no record, and nobody holds its lock."""
    with contextlib.suppress(OSError):
        handle = hold(folder)
        if handle is None:
            return
        try:
            if not (folder / RECORD).exists():
                forget(folder)
        finally:
            os.close(handle)


def forget(folder: Path) -> None:
    """Remove a service's folder with all that is in it. The caller holds its lock."""
    shutil.rmtree(folder)
