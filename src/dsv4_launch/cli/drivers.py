"""The drivers of this machine, and the service of a name among all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsv4_launch.errors import Dsv4Error, HostError, Problem, UsageError

if TYPE_CHECKING:
    from dsv4_launch.run.service import Driver, Seen

# An engine that unpacks an image or starts eight GPUs takes its time to answer.
ENGINE_S = 60.0

_FIXES = {
    "engine-denied": "Join the docker group (`sudo usermod -aG docker $USER`, then log in again), or run as root.",
    "engine-down": "Start it (`sudo systemctl start docker`), or correct DOCKER_HOST or the docker context.",
    "engine-error": "See that `docker version` works.",
}


@dataclass(frozen=True, slots=True)
class Service:
    """A service that was found, and what acts on it."""

    driver: Driver
    seen: Seen


def client(timeout_s: float = ENGINE_S) -> Any:
    """A client of the docker package for the engine that the `docker` command would use here.

    Raises HostError: engine-down, engine-denied, engine-error.
    """
    from dsv4_launch.host.docker import connect, knock
    from dsv4_launch.host.docker_address import find_endpoint
    from dsv4_launch.host.looking import CouldNotLook, spell

    try:
        endpoint = find_endpoint()
    except CouldNotLook as error:
        raise _engine("engine-error", str(error), "docker context") from None
    refused = knock(endpoint)
    if refused is not None:
        raise _engine(f"engine-{refused[0]}", refused[1], endpoint.url)
    try:
        return connect(endpoint, timeout_s)
    except Exception as error:  # the docker package lets requests, urllib3 and paramiko failures through
        raise _engine("engine-error", spell(error), endpoint.url) from None


def driver_of(target: str) -> Driver:
    """The driver of a target."""
    if target == "docker":
        from dsv4_launch.run.docker.service import DockerDriver

        return DockerDriver(client)
    from dsv4_launch.run.native.service import NativeDriver

    return NativeDriver()


def find(name: str, target: str | None = None) -> Service | None:
    """The service of a name: of one target, or of any, a living one first.

    Raises HostError when it is nowhere else and an engine that could have it cannot be asked.
    """
    found: list[Service] = []
    unasked: Dsv4Error | None = None
    for driver in _drivers(target):
        try:
            seen = driver.find(name)
        except HostError as error:
            unasked = error if target or matters(error) else unasked
            continue
        if seen is not None:
            found.append(Service(driver, seen))
    ours = [service for service in found if not service.seen.foreign] or found
    living = [service for service in ours if service.seen.life != "exited"] or ours
    if len(living) > 1:
        raise UsageError(
            f"{name} is a container and a native process.", where=name, fix="Say which: --target docker or native."
        )
    if not living and unasked is not None:
        raise unasked
    return living[0] if living else None


def find_all(target: str | None = None) -> tuple[list[Service], list[Problem]]:
    """Every service that dsv4 made here, and why some of them could not be seen."""
    found: list[Service] = []
    problems: list[Problem] = []
    for driver in _drivers(target):
        try:
            found += [Service(driver, seen) for seen in driver.all()]
        except HostError as error:
            problems += error.problems if target or matters(error) else ()
    return found, problems


def _drivers(target: str | None) -> Iterator[Driver]:
    for name in (target,) if target else ("docker", "native"):
        yield driver_of(name)


def matters(error: HostError) -> bool:
    """Whether an engine's silence matters: False on a machine without docker, where no container can be."""
    from shutil import which

    return which("docker") is not None or "DOCKER_HOST" in os.environ or error.problems[0].code != "engine-down"


def _engine(code: str, detail: str, where: str) -> HostError:
    fix = _FIXES.get(code, _FIXES["engine-error"])
    message = {
        "engine-denied": "This user may not use the Docker engine",
        "engine-down": "The Docker engine is not running, or cannot be reached",
    }.get(code, "The Docker engine cannot be asked")
    return HostError(Problem(code, f"{message}: {detail}.", where, fix))
