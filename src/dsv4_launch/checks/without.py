"""A host's facts as they would be without one service: what it holds counts as free for its successor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsv4_launch.facts import Docker, Gpu, HostFacts, Port


@dataclass(frozen=True, slots=True)
class Held:
    """What a service holds: its container's name ("" natively), its processes, its TCP port."""

    container: str
    pids: frozenset[int]
    port: int


def without(facts: HostFacts, held: Held) -> HostFacts:
    """The facts once the service is gone. What others hold stays; what was not read stays unread."""
    docker = facts.docker
    published = {} if docker is None or docker.published is None else docker.published
    ports = facts.ports
    return facts.model_copy(
        update={
            "gpus": None if facts.gpus is None else tuple(_gpu(gpu, held) for gpu in facts.gpus),
            "ports": None if ports is None else {at: _port(at, port, held, published) for at, port in ports.items()},
            "docker": None if docker is None else _docker(docker, held),
        }
    )


def _gpu(gpu: Gpu, held: Held) -> Gpu:
    if gpu.processes is None:
        return gpu
    ours = [process for process in gpu.processes if process.pid in held.pids]
    others = tuple(process for process in gpu.processes if process.pid not in held.pids)
    if not ours:
        return gpu
    free, total = gpu.memory_free_mib, gpu.memory_total_mib
    if free is not None and total is not None:
        told = all(process.used_mib is not None for process in ours)
        # Where the driver does not tell what each holds, a GPU that nobody else uses becomes free.
        free = total if not told and not others else min(total, free + sum(process.used_mib or 0 for process in ours))
    return gpu.model_copy(update={"processes": others, "memory_free_mib": free})


def _port(address: str, port: Port | None, held: Held, published: Mapping[str, str]) -> Port | None:
    if port is None or port.free or int(address.rpartition(":")[2] or 0) != held.port:
        return port
    by_container = bool(held.container) and any(
        name == held.container and where.rpartition(":")[2] == str(held.port) for where, name in published.items()
    )
    return Port(free=True) if by_container or port.pid in held.pids else port


def _docker(docker: Docker, held: Held) -> Docker:
    if not held.container:
        return docker
    containers, published = docker.containers, docker.published
    return docker.model_copy(
        update={
            "containers": containers
            and {name: None if name == held.container else one for name, one in containers.items()},
            "published": published and {at: name for at, name in published.items() if name != held.container},
        }
    )
