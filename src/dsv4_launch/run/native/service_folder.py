"""The folder of a native service, below the state folder: what docker's labels are for a container.

``service.json`` (who launched what, when, and how it ended), ``launch.json`` (the same, as it was at the launch),
``server.log``, and ``lock``, which whoever launches holds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from dsv4_launch.errors import HostError
from dsv4_launch.run import state
from dsv4_launch.run.native.service_file import DamagedError, Record, dump, parse

SERVICES = "services"
RECORD, LOG, LOCK = "service.json", "server.log", "lock"
# The record as it was at the launch: written once, so that a damaged one can be made anew from it.
LAUNCH = "launch.json"
# What the lock's file holds while its holder launches, or runs what was launched.
_LAUNCHING = b"launch"


def folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Every service folder that is there."""
    for root in state.roots(environ):
        with contextlib.suppress(OSError):
            yield from sorted(path for path in (root / SERVICES).iterdir() if path.is_dir())


def existing(name: str, environ: Mapping[str, str]) -> Path | None:
    """The folder of a service that this user may see, or None. A text that is no deployment name has none."""
    if not state.is_name(name):
        return None
    # os.path: a state folder that this user may not enter holds nothing for this user, and is no error.
    found = (root / SERVICES / name for root in state.roots(environ))
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
    for root in state.roots(environ):
        try:
            state.make(root, 0o755)
            return state.subfolder(root, SERVICES, name)
        except OSError as error:
            refused = f"{error.filename}: {error.strerror}"
    raise HostError(
        f"The state of a native service cannot be written anywhere: {refused}.",
        where=str(state.roots(environ)[-1]),
        fix="Set DSV4_STATE_DIR to a folder that you may write.",
        code="state-folder",
    )


def write(folder: Path, record: Record, name: str = RECORD) -> None:
    """Replace the record in one step."""
    state.write(folder / name, dump(record))


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
    """Keep a damaged record under another name, for a person to look at; somebody else may have done so already."""
    aside = folder / f"{RECORD}.damaged"
    with contextlib.suppress(FileNotFoundError):
        (folder / RECORD).replace(aside)
    return aside


def hold(folder: Path, *, to_launch: bool = False) -> int | None:
    """Take the folder's lock; None when another one has it. The lock lives as long as any copy of the handle."""
    while True:
        try:
            state.make_closed(folder)
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
    """Remove a service's folder with all that is in it. The caller holds its lock.

    The lock goes last: until then nobody launches there, and what a launch puts there afterwards stays.
    """
    (folder / RECORD).unlink(missing_ok=True)  # first: of a removal that is killed nothing is left to be seen
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
    (folder / LOCK).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
            raise
