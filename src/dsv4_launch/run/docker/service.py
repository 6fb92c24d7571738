"""Services in containers: the rendered `docker run` creates, the docker package observes and stops."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from dsv4_launch.errors import HostError, Problem, ToolError
from dsv4_launch.plan.types import Plan
from dsv4_launch.run import shared_memory as memory
from dsv4_launch.run.docker import log as docker_log
from dsv4_launch.run.docker.errors import refused
from dsv4_launch.run.docker.seen import seen
from dsv4_launch.run.docker.under_way import under_way
from dsv4_launch.run.processes import Process
from dsv4_launch.run.service import Seen, must_be_ours
from dsv4_launch.targets.docker import LABEL_NAME
from dsv4_launch.values import Command

# The engine answers at once, except where it has to set up GPUs, networks and mounts.
CREATE_S: Final = 180.0
REMOVED_S: Final = 60.0
LOOK_S: Final = 0.1
# What the engine takes for a container's name or id; any other text would become part of a path of its API.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


class DockerDriver:
    """Acts on containers. ``connect`` gives a client of the docker package for the engine that `docker` itself uses."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._opened: Any = None

    def find(self, name: str) -> Seen | None:
        """The container of this name, ours or not; or what a launch under way is about to make.

        Raises HostError when the engine cannot be asked.
        """
        data, launched = self._inspect(name), None
        if data is None:
            launched = under_way().get(name)
            data = self._inspect(name)  # a launch that is over by now has made it
        return launched if data is None else seen(data)

    def all(self) -> list[Seen]:
        """Every container that carries our label, running or not, and those that are about to be made."""
        launched = under_way()  # first: what is over by then is among the containers
        with _asking():
            rows = self._client.api.containers(all=True, filters={"label": [LABEL_NAME]})
        made = [seen(data) for row in rows if (data := self._inspect(row["Id"])) is not None]
        found = {**launched, **{one.name: one for one in made}}
        return sorted(found.values(), key=lambda one: one.name)

    def create(self, name: str, command: Command, environ: Mapping[str, str], plan: Plan | None = None) -> None:
        """Run the filled command as it is; its secrets reach it by the environment of the process.

        A finished container of ours with that name is replaced. One that was created but could not start is removed
        again, by its id: never by a name that another launch may own. Raises HostError (``foreign``,
        ``name-taken``, ``port-taken``, …) or ToolError.
        """
        if plan is None:
            raise ValueError("a container is created from a plan")
        self._make_room(name)
        passed = {variable: environ[source] for variable, source in command.env_from.items() if source in environ}
        words = [word if isinstance(word, str) else repr(word) for word in command.argv]
        try:
            process = subprocess.Popen(
                words,
                env={**environ, **passed},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle, not docker's
            )
        except OSError as error:
            raise _no_cli(words[0], error) from None
        try:
            out, err = process.communicate(timeout=CREATE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise ToolError(
                f"docker run gave no answer within {CREATE_S:.0f} s.",
                where=f"container {name}",
                fix="See that `docker info` answers and the engine's log (`journalctl -u docker`).",
                code="docker-run",
            ) from None
        except KeyboardInterrupt:
            # The engine may be half way through: wait for its answer, so that nothing of it stays.
            out, err = process.communicate(timeout=CREATE_S)
            self._remove_id(_id(out))
            raise
        if process.returncode != 0:
            self._remove_id(_id(out))
            raise refused(f"{err}\n{out}", plan)

    def logs(self, name: str, *, follow: bool, tail: int | None, since: datetime | None = None) -> Iterator[str]:
        """The container's log lines; with ``follow`` until it exits; ``since`` by the engine's own stamps."""
        import docker

        try:
            with _asking():
                stream = self._client.api.logs(
                    name,
                    stdout=True,
                    stderr=True,
                    stream=True,
                    follow=follow,
                    tail="all" if tail is None else tail,
                    since=since.timestamp() if since else None,
                )
            yield from docker_log.lines(stream)
        except docker.errors.NotFound:
            return

    def follow(self, name: str, over: Callable[[], bool]) -> Iterator[str]:
        """What its log gains from now on, over its restarts, until ``over``."""
        with _asking():
            yield from docker_log.follow(self._client.api, name, over)

    def pids(self, name: str) -> frozenset[int]:
        """The container's processes, by their pids on the host."""
        with _asking():
            return frozenset(process.pid for process in self._processes(name))

    def start(self, name: str) -> None:
        """Start a container that has ended again: the same words, the same environment."""
        import docker

        with _asking():
            try:
                self._client.api.start(name)
            except docker.errors.NotFound:
                raise HostError(f"There is no container {name} any more.", where=name, code="absent") from None

    def stop(self, name: str, timeout_s: float) -> None:
        """SIGTERM, then SIGKILL after ``timeout_s``; the engine kills every process of the container.

        What a launch under way is about to make is waited for: it ends, too, though its `dsv4` was killed.
        With the host's IPC namespace vLLM's message queues outlive the container in /dev/shm: they are removed after it
        (as far as /proc lets us see who maps them: as root).
        """
        import docker

        deadline = time.monotonic() + CREATE_S
        while self._inspect(name) is None and name in under_way():
            if time.monotonic() > deadline:
                raise HostError(
                    f"A container named {name} is being launched, which does not get on.",
                    where=f"docker {name}",
                    fix="See that `docker info` answers and the engine's log (`journalctl -u docker`).",
                    code="name-taken",
                )
            time.sleep(LOOK_S)
        with _asking(), contextlib.suppress(docker.errors.NotFound):
            segments = memory.mapped(self._processes(name))
            data = self._inspect(name) if segments else None
            self._client.api.stop(name, timeout=max(1, round(timeout_s)))
            if data is not None:
                memory.release(segments | memory.semaphores(int(docker_log.epoch_s(data["State"]["StartedAt"]))))

    def _processes(self, name: str) -> list[Process]:
        """The container's processes, by their pids on the host; none when it does not run, or is on another machine."""
        import docker

        try:
            table = self._client.api.top(name, ps_args="-eo pid")
        except docker.errors.APIError:
            return []
        # null, not [], for a container that dies while it is asked
        return [Process(int(words[0]), 0, "") for words in table.get("Processes") or () if words[0].isdigit()]

    def remove(self, name: str) -> None:
        """Remove the container and its anonymous volumes; mounted caches and weights stay."""
        data = self._inspect(name)
        if data is not None:
            self._remove_id(data["Id"])

    def _make_room(self, name: str) -> None:
        """Remove a finished container of ours that has the name: by its id, which no newer one can have."""
        data = self._inspect(name)
        if data is None:
            return
        old = seen(data)
        must_be_ours(old, f"Rename the deployment, or `docker rm {name}` if nobody needs it.")
        if old.life == "exited" or (old.life == "created" and old.error):
            self._remove_id(data["Id"])

    def _remove_id(self, identity: str) -> None:
        import docker

        if not identity:
            return
        with _asking(), contextlib.suppress(docker.errors.NotFound):
            try:
                self._client.api.remove_container(identity, force=True, v=True)
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                # Another removal is under way, of a dsv4 that was killed, say: until it is over the name is taken.
                self._client.api.wait(identity, timeout=REMOVED_S, condition="removed")

    def _inspect(self, name: str) -> dict[str, Any] | None:
        import docker

        if _NAME.fullmatch(name) is None:
            return None
        with _asking():
            try:
                data: dict[str, Any] = self._client.api.inspect_container(name)
            except docker.errors.NotFound:
                return None
        # The engine also takes the beginning of another container's id for a name.
        return data if name in (data.get("Name", "").lstrip("/"), data.get("Id")) else None

    @property
    def _client(self) -> Any:
        if self._opened is None:
            self._opened = self._connect()
        return self._opened


def _id(out: str) -> str:
    """The container's id: what `docker run --detach` prints, also when the start failed afterwards."""
    last = out.strip().rpartition("\n")[2].strip()
    return last if len(last) == 64 and all(c in "0123456789abcdef" for c in last) else ""


def _no_cli(program: str, error: OSError) -> ToolError:
    return ToolError(
        f"{program} cannot be run: {error.strerror or error}.",
        where="PATH",
        fix="Install Docker Engine (https://docs.docker.com/engine/install/), or use --target native.",
        code="docker-missing",
    )


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """The engine's own failures as errors of ours; NotFound stays what it is, for those who expect it."""
    import docker
    import requests

    try:
        yield
    except docker.errors.NotFound:
        raise
    except docker.errors.APIError as error:
        raise ToolError(
            f"The Docker engine refused: {error.explanation or error}.", fix="See `docker info`.", code="docker-engine"
        ) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise HostError(
            Problem(
                "engine-down",
                "The Docker engine stopped answering.",
                type(error).__name__,
                "Start it (`sudo systemctl start docker`), or correct DOCKER_HOST or the docker context.",
            )
        ) from error
