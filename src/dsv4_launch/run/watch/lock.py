"""One watcher a service: an abstract Unix socket named after it.

It is seen by every user of the machine, wherever that user keeps state; it vanishes with the process that bound it,
also by kill -9; and the kernel says whose it is.
"""

from __future__ import annotations

import contextlib
import pwd
import socket
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))


@dataclass(frozen=True, slots=True)
class Holder:
    """Who watches a service."""

    pid: int
    user: str


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
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(_address(target, name))
        bound.listen(64)
        bound.setblocking(False)
    except OSError:
        bound.close()
        return None
    return WatchLock(bound)


def holder(target: str, name: str) -> Holder | None:
    """Who watches a service now, or None."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(0.5)
        try:
            asking.connect(_address(target, name))
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
