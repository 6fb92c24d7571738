"""Ports for the servers of the tests: of those that nobody is given by chance, and each one once."""

from __future__ import annotations

import itertools
import os
import socket

# Below the range from which the kernel serves connections and whoever asks for any port (net.ipv4.ip_local_port_range):
# what is free now is free still when a server takes it, seconds later.
_FIRST, _COUNT = 20_000, 10_000
# Test runs beside each other begin at places of their own.
_places = itertools.count(os.getpid() * 7)


def free_port() -> int:
    """A port that nobody has on any address, and that was not given before."""
    for place in itertools.islice(_places, _COUNT):
        port = _FIRST + place % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
    raise AssertionError(f"all ports from {_FIRST} on are taken")
