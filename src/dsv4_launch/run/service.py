"""What every way of running has in common: a service that was seen, and the calls that act on it.

A *driver* runs services of one target. What it needs to find them again lies with the service (container labels, or the
native state folder), never in this process: a colleague on the same machine sees the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from dsv4_launch.errors import HostError
from dsv4_launch.plan.types import Plan
from dsv4_launch.targets.base import plan_digest
from dsv4_launch.targets.docker import LABEL_DIGEST
from dsv4_launch.values import Command, Rendered

Life = Literal["running", "exited", "created", "restarting", "paused"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One service as its driver sees it now.

    ``digest`` and ``config`` say what was launched; ``exit_code`` and ``error`` are set once it has exited. ``stopped``
    is true when the exit was asked for (``dsv4 stop``). Times are ISO 8601 UTC. ``ended_before``: when the life before
    this one ended, of a container that was started again.
    ``gpus``: indices of those that its launch chose, as "4,5,6,7"; "" where the config says.
    """

    name: str
    target: Literal["docker", "native"]
    life: Life
    digest: str
    config: Mapping[str, Any]
    user: str
    base_url: str
    created: str
    started: str = ""
    finished: str = ""
    ended_before: str = ""
    exit_code: int | None = None
    error: str = ""
    out_of_memory: bool = False
    stopped: bool = False
    restarts: int = 0
    # The restart policy of who supervises it: the docker engine, or the native supervisor.
    restart: str = "no"
    pid: int = 0
    image: str = ""
    image_id: str = ""
    # From the request to stop to the kill, as it was launched; 0: not recorded.
    stop_timeout_s: int = 0
    gpus: str = ""
    # The words that the server was started with, with or without its program.
    argv: tuple[str, ...] = ()
    # True for a container or process of this name that dsv4 did not create.
    foreign: bool = False


def belongs(found: Seen) -> str:
    """Whose a name is that is not ours, in words."""
    return f"belongs to a {'container' if found.target == 'docker' else 'process'} that dsv4 did not make"


def must_be_ours(found: Seen, fix: str = "") -> None:
    """Raises HostError (code ``foreign``) for what dsv4 did not make: it is neither read nor touched."""
    if found.foreign:
        raise HostError(
            f"The name {found.name} {belongs(found)} ({found.life}); it is left alone.",
            where=f"{found.target} {found.name}",
            fix=fix or "Rename the deployment (`name:` in the config), or remove the other one yourself.",
            code="foreign",
        )


class Driver(Protocol):
    """The calls that act on services of one target. Each raises HostError or ToolError, with the fix."""

    def find(self, name: str) -> Seen | None:
        """The service of this name, or None."""

    def all(self) -> list[Seen]:
        """Every service that dsv4 created here."""

    def create(self, name: str, command: Command, environ: Mapping[str, str], plan: Plan | None = None) -> None:
        """Create and start the service. ``command`` is filled in; ``environ`` holds the secrets that it names.

        ``plan`` is what the command was rendered from: docker's labels say it already, a native service records its
        config, digest, endpoint and restart policy.

        Raises ToolError when the tool refuses, HostError with code ``name-taken`` when another creation won.
        """

    def logs(self, name: str, *, follow: bool, tail: int | None, since: datetime | None = None) -> Iterator[str]:
        """Log lines, oldest first, without line ends; with ``follow`` until the service exits; from ``since`` on."""

    def follow(self, name: str, over: Callable[[], bool]) -> Iterator[str]:
        """What its log gains from now on, over its restarts, until ``over``; no line of a later life is lost."""

    def pids(self, name: str) -> frozenset[int]:
        """The processes of a service by their pids on this host, as far as they can be seen."""

    def stop(self, name: str, timeout_s: float) -> None:
        """Ask the server to stop, wait, then force it; the whole process tree is gone afterwards."""

    def remove(self, name: str) -> None:
        """Forget a stopped service: nothing of it is left behind but caches and weights."""


def digest_of(plan: Plan, rendered: Rendered) -> str:
    """The digest that a service launched from this plan has: docker's label, or that of the native command."""
    prefix = f"{LABEL_DIGEST}="
    for word in rendered.command.argv if plan.target == "docker" else ():
        if isinstance(word, str) and word.startswith(prefix):
            return word.removeprefix(prefix)
    return plan_digest(plan, rendered.command)
