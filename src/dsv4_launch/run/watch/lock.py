"""One watcher a service, and one change of it at a time: abstract Unix sockets named after it.

A socket is seen by every user of the machine, wherever that user keeps state; it vanishes with the process that bound
it, also by kill -9; and the kernel says whose it is.
"""

from __future__ import annotations

import contextlib
import pwd
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dsv4_launch.errors import HostError

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))


@dataclass(frozen=True, slots=True)
class Holder:
    """Who watches or changes a service; pid 0: somebody who could not be asked."""

    pid: int
    user: str

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user}" if self.pid else "another process"


class WatchLock:
    """Held until it is closed or the process ends."""

    def __init__(self, bound: socket.socket) -> None:
        self._bound = bound

    def drain(self) -> None:
        """Let those go who asked who we are; to be called now and then, for the queue of a socket is short."""
        with contextlib.suppress(OSError):
            while True:
                self._bound.accept()[0].close()

    def close(self) -> None:
        """Give it back."""
        self._bound.close()


def take(target: str, name: str) -> WatchLock | None:
    """The lock of a service; None when another process watches it."""
    return _take(_address(target, name))


def holder(target: str, name: str) -> Holder | None:
    """Who watches a service now, or None."""
    return _holder(_address(target, name))


@contextlib.contextmanager
def changing(name: str) -> Iterator[None]:
    """Hold the name of a deployment while it is launched or changed: a watch waits, another change is refused.

    Raises HostError when somebody else holds it.
    """
    held = _take(_changes(name))
    if held is None:
        raise HostError(
            f"{name} is being launched or changed by {changer(name) or 'another process'}.",
            where=name,
            fix=f"Wait for its end; `dsv4 status {name}` says how far it is.",
            code="changing",
        )
    with contextlib.closing(held):
        yield


def changer(name: str) -> Holder | None:
    """Who launches or changes a deployment now, or None."""
    return _holder(_changes(name))


def _take(address: bytes) -> WatchLock | None:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(address)
        bound.listen(64)
        bound.setblocking(False)
    except OSError:
        bound.close()
        return None
    return WatchLock(bound)


def _holder(address: bytes) -> Holder | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(0.5)
        try:
            asking.connect(address)
            raw = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except ConnectionRefusedError:
            return None
        except OSError:
            return Holder(0, "")  # its queue is full: somebody is there
        pid, uid, _ = _CREDENTIALS.unpack(raw)
    try:
        return Holder(pid, pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Holder(pid, str(uid))


def _address(target: str, name: str) -> bytes:
    return f"\0dsv4-watch/{target}/{name}".encode()


def _changes(name: str) -> bytes:
    return f"\0dsv4-change/{name}".encode()
