"""Whether an address can be bound, and who listens there if not."""

import errno
import os
import socket
from pathlib import Path

from dsv4_launch.facts import Port
from dsv4_launch.host.looking import CouldNotLook, clean, spell

PROC = Path("/proc")
_LISTEN = "0A"


def read_port(host: str, port: int) -> Port:
    """Try the bind that the server will do.

    SO_REUSEADDR is set as servers set it: on Linux a port whose last connections are in TIME_WAIT is then free, while
    one with a listener, on this address or on the wildcard, is not. The socket never listens, so nobody connects to it.

    Errors: CouldNotLook where the host name has no address.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CouldNotLook(f"{host}: {spell(error)}") from error
    for family, kind, protocol, _name, address in dict.fromkeys(found):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                continue
            if error.errno == errno.EACCES:  # a low port: an engine may bind it for us, so only a listener counts
                return _taken(port, None) if listening_inodes(port) else Port(free=True)
            return _taken(port, None if error.errno == errno.EADDRINUSE else spell(error))
    return Port(free=True)


def listening_inodes(port: int, proc: Path = PROC) -> set[str]:
    """The socket inodes that listen on a port, on any address, from /proc/net/tcp and tcp6."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def holder(inodes: set[str], proc: Path = PROC) -> tuple[int, str] | None:
    """The process that holds one of these sockets, where this user may see it."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in proc.iterdir() if wanted else ():
        if not folder.name.isdigit():
            continue
        try:
            if any(str(link.readlink()) in wanted for link in (folder / "fd").iterdir()):
                return int(folder.name), clean((folder / "comm").read_text())
        except OSError:
            continue
    return None


def _taken(port: int, detail: str | None) -> Port:
    inodes = listening_inodes(port)
    found = holder(inodes)
    if found:
        return Port(free=False, pid=found[0], process=found[1], detail=detail)
    if detail is None and inodes:
        detail = (
            "a process that this user may not see listens" if os.geteuid() else "a process not visible here listens"
        )
    return Port(free=False, detail=detail or "in use, though nothing listens")
