"""Look at a host: every probe in its own thread with its own deadline, none able to take the others down."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dsv4_launch.facts import HostFacts, Request
from dsv4_launch.host.looking import CouldNotLook, Note, spell

# NVML starts a sleeping driver (seconds a GPU without persistence mode), a Python has to start for the version of vLLM,
# and an engine with thousands of images takes its time. All others answer at once or hang.
DEADLINES_S: Mapping[str, float] = {"gpus": 30.0, "docker": 20.0, "native": 25.0, "hub": 15.0, "network": 15.0}
DEADLINE_S = 5.0


@dataclass(slots=True)
class _Look:
    """One probe under way. `fills`: the facts that it answers, as dotted paths, in the order of its values."""

    fills: tuple[str, ...]
    call: Callable[[Note], tuple[Any, ...]]
    notes: dict[str, str] = field(default_factory=dict)
    values: tuple[Any, ...] | None = None
    reason: str = ""

    def run(self) -> None:
        notes: dict[str, str] = {}
        try:
            values = self.call(notes.__setitem__)
        except CouldNotLook as error:
            self.reason = str(error)
        except BaseException as error:  # a probe's failure is an answer about the host, never an end of the program
            self.reason = spell(error)
        else:
            self.notes, self.values = notes, values


def probe(request: Request, taken_at: str | None = None, deadlines_s: Mapping[str, float] = DEADLINES_S) -> HostFacts:
    """Look at what is asked for, all at once. Never raises: what cannot be seen is None, its reason in `problems`."""
    looks = _looks(request)
    started = time.monotonic()
    # Daemon threads: a call that hangs in a driver or in a dead network mount cannot be ended, only left behind.
    threads = [threading.Thread(target=look.run, name=f"probe {look.fills[0]}", daemon=True) for look in looks]
    for thread in threads:
        thread.start()
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for look, thread in zip(looks, threads, strict=True):
        deadline_s = deadlines_s.get(look.fills[0].partition(":")[0], DEADLINE_S)
        thread.join(max(0.0, deadline_s - (time.monotonic() - started)))
        if thread.is_alive():
            look = _Look(look.fills, look.call, reason=f"no answer within {deadline_s:g} s")
        values = look.values or (None,) * len(look.fills)
        for path, value in zip(look.fills, values, strict=True):
            if look.values is None:
                problems[path.replace(":", ".", 1)] = look.reason
            part, separator, key = path.partition(":")
            if separator:
                found.setdefault(part, {})[key] = value
            else:
                found[part] = value
        problems |= look.notes
    if request.variables:
        found["variables"] = {name: bool(os.environ.get(name)) for name in request.variables}
    return HostFacts(origin="probed", taken_at=taken_at, problems=problems, **found)


def _looks(request: Request) -> list[_Look]:
    """The probes that a request needs. A fact "part:key" is one entry of a part that is a mapping."""
    from dsv4_launch.host import disk, docker, fabric, hub, kernel, native, nvml, system

    looks = [
        _Look(("system",), lambda note: (system.read_system(note),)),
        _Look(("mounts",), lambda _note: (disk.read_mounts(),)),
    ]
    if request.gpus:
        looks.append(_Look(("gpus", "driver"), nvml.read_gpus))
        looks.append(_Look(("fabric_manager",), lambda note: (fabric.read_fabric(note),)))
        looks.append(_Look(("kernel",), lambda note: (kernel.read_kernel(note),)))
    if request.network:
        looks.append(_Look(("network",), partial(_network, request)))
    if request.docker:
        looks.append(_Look(("docker", "disks:docker"), lambda note: docker.read_docker(request, note)))
    executable = request.executable
    if executable is not None:
        looks.append(_Look(("native",), lambda note: (native.read_native(executable, note),)))
    if request.repos or request.hub_cache is not None or request.token_env is not None:
        looks.append(_Look(("hub",), lambda note: (hub.read_hub(request, note),)))
    for purpose, path in request.paths:
        looks.append(_Look((f"disks:{purpose}",), partial(_disk, purpose, path)))
    for host, port in request.ports:
        looks.append(_Look((f"ports:{host}:{port}",), partial(_port, host, port)))
    return looks


def _disk(purpose: str, path: str, note: Note) -> tuple[Any, ...]:
    from dsv4_launch.host import disk

    return (disk.read_disk(purpose, path, note),)


def _network(request: Request, note: Note) -> tuple[Any, ...]:
    from dsv4_launch.host import network

    return (network.read_network(request, note),)


def _port(host: str, port: int, _note: Note) -> tuple[Any, ...]:
    from dsv4_launch.host import ports

    return (ports.read_port(host, port),)
