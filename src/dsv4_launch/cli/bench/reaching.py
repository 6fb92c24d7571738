"""The server that a benchmark measures, and the client that loads it: found from a deployment or an address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dsv4_launch.cli import drivers
from dsv4_launch.cli.service import statuses
from dsv4_launch.cli.service.smoking import checked_url, key_value
from dsv4_launch.errors import HostError, ServerError, UsageError
from dsv4_launch.host.places import find_places
from dsv4_launch.run.bench.client import Client, native_client
from dsv4_launch.run.endpoint import ask
from dsv4_launch.values import fill, listed, nearest

if TYPE_CHECKING:
    from dsv4_launch.plan.types import Plan
    from dsv4_launch.run.service import Seen

DEFAULT = "flash-b200"
# A served name goes into every document of a run, and as one word into the client's command.
_LONGEST_NAME = 1000
_LONGEST_PATH = 4096
NO_SERVER = "Is it up, and is this the address at which it listens, without /v1?"


@dataclass(frozen=True, slots=True)
class Server:
    """What is measured: where it answers, under which name, and what of it is known."""

    url: str
    model: str
    key: str
    root: str = ""
    seen: Seen | None = None
    plan: Plan | None = None

    @property
    def local(self) -> bool:
        """Whether it runs on this machine, as far as its address tells."""
        host = urlsplit(self.url).hostname or ""
        return self.seen is not None or host in ("localhost", "::1") or host.startswith("127.")


def find(
    name: str | None, url: str | None, model: str | None, key_env: str | None, target: str | None, preferred: str = ""
) -> Server:
    """The server, asked for its models. ``preferred`` is taken of several names where no ``model`` is asked for.

    Raises UsageError (both or a wrong address, a model that it does not serve), HostError (no such deployment, it does
    not run, the key is missing or refused) or ServerError (it does not answer).
    """
    if name is not None and url is not None:
        raise UsageError("A deployment and --url exclude each other.", where="dsv4 bench run")
    seen, plan = (None, None) if url is not None else _deployment(name or DEFAULT, target)
    base_url = checked_url(url) if url is not None else (seen.base_url if seen else "")
    config: Mapping[str, Any] = seen.config if seen else {}
    key = key_value(key_env or str((config.get("server") or {}).get("api_key_env") or ""))
    served, root = _models(base_url, key, "`dsv4 status` says whether it is up." if url is None else NO_SERVER)
    if model is not None and model not in served:
        meant = nearest(model, served)
        fix = f"Did you mean {meant}?" if meant else f"It serves {listed(served)}."
        raise UsageError(f"The server does not serve {model}.", where=base_url, fix=fix, code="bench-model")
    first = plan.served_model_names[0] if plan is not None else ""
    chosen = model or next((name for name in (preferred, first) if name in served), served[0])
    if len(chosen) > _LONGEST_NAME or not chosen.isprintable():
        said = f"No client can ask for the model's name, which has {len(chosen)} characters: {chosen[:60]}"
        raise ServerError(said, where=base_url, fix="Serve it under a plain name.", code="bench-model")
    return Server(base_url, chosen, key, root, seen, plan)


def client_of(server: Server, python: str | None, image: str | None) -> Client:
    """Where the load comes from. Raises UsageError or HostError."""
    if python is not None and image is not None:
        raise UsageError("--client-python and --client-image exclude each other.", where="dsv4 bench run")
    container = server.seen.name if server.seen is not None and server.seen.target == "docker" else ""
    environment = _hub_variables(server.plan)
    if python is not None:
        if not os.access(python, os.X_OK):
            raise HostError(
                "There is no such Python.", where=python, fix="As in --client-python venv/bin/python.", code="no-client"
            )
        return Client(python=str(Path(python).absolute()))
    if image is not None or container:
        return Client(
            image=image or (server.seen.image if server.seen else ""), container=container, environment=environment
        )
    if server.plan is not None:
        return native_client(fill(server.plan.native.executable, find_places()), os.environ, environment)
    places = find_places()
    rehearsal = Path(places["rehearsal_home"]) / "venv" / "bin" / "vllm"
    try:
        return native_client("vllm", os.environ)
    except HostError:
        return native_client(str(rehearsal) if rehearsal.exists() else "vllm", os.environ)


def address(server: Server, client: Client) -> str:
    """The server as the client reaches it: inside its container's network it listens on its own port."""
    if not client.container or server.plan is None:
        return server.url
    from dsv4_launch.targets.docker import CONTAINER_PORT

    host_network = server.plan.container.network == "host"
    return f"http://127.0.0.1:{server.plan.port if host_network else CONTAINER_PORT}"


def tokenizer(server: Server, client: Client, given: str | None) -> str:
    """The model's folder or repository, as the client sees it; nothing is fetched for it."""
    if given is not None:
        return given
    plan = server.plan
    if plan is None:
        return server.root or server.model
    if plan.target == "docker" and not client.container:
        model = next((bind.source for bind in plan.container.binds if bind.purpose == "model"), None)
        return fill(model, find_places()) if model is not None else plan.model.repo
    return fill(plan.model.served, find_places())


def trusts(server: Server) -> bool:
    """Whether the deployment runs code of its model's repository, which its tokenizer may need."""
    arguments = server.plan.arguments if server.plan is not None else ()
    return any(argument.name == "trust_remote_code" and argument.value for argument in arguments)


def _hub_variables(plan: Plan | None) -> dict[str, str]:
    """Where the deployment's Hub cache is: no secret is among a plan's values."""
    places = find_places()
    variables = plan.environment if plan is not None else ()
    return {
        v.name: fill(v.value, places)
        for v in variables
        if v.value is not None and v.name in ("HF_HOME", "HF_HUB_CACHE")
    }


def _deployment(name: str, target: str | None) -> tuple[Seen, Plan | None]:
    from dsv4_launch.errors import Dsv4Error
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run.service import must_be_ours
    from dsv4_launch.run.status.status import loaded

    try:
        seen = statuses.find(name, target).seen
    except HostError as error:
        first, *rest = error.problems
        fix = f"{first.fix} --url measures a server that dsv4 did not launch.".strip()
        raise HostError(replace(first, fix=fix), *rest) from None
    where = f"{seen.target} {seen.name}"
    must_be_ours(seen, "Measure it by --url.")
    if seen.life != "running" or not seen.base_url:
        fix = f"`dsv4 status {seen.name}` says what became of it."
        raise HostError(f"{seen.name} does not run.", where=where, fix=fix, code="not-running")
    try:
        return seen, resolve(loaded(seen.config))
    except Dsv4Error as error:
        raise HostError(
            f"The config of {seen.name} is not valid for this dsv4: {error.problems[0].message}",
            where=where,
            fix="Measure it by --url, with --tokenizer and --client-image or --client-python.",
            code="other-version",
        ) from None


def _models(base_url: str, key: str, silent: str) -> tuple[tuple[str, ...], str]:
    import json

    from dsv4_launch.run.bench.fingerprint import get

    answer = ask(base_url, (), key)
    if answer.verdict == "key-refused":
        fix = "Name the variable that holds it with --key-env." if not key else "Is it the key of this server?"
        raise HostError(f"The server wants an API key: {answer.detail}.", where=base_url, fix=fix, code="key-refused")
    if not answer.up or not answer.models:
        raise ServerError(
            f"The server cannot be measured: {answer.detail or 'it serves no model'}.",
            where=base_url,
            fix=silent,
            code="bench-silent",
        )
    try:
        first = json.loads(get(base_url, "/v1/models", key))["data"][0]
        root = str(first.get("root") or "")
        root = root if len(root) <= _LONGEST_PATH and root.isprintable() else ""
    except Exception:  # whatever the server says, its root is a convenience
        root = ""
    return answer.models, root


def engine_for(server: Server) -> Any:
    """What gives a client of the docker package, for a deployment in a container."""
    return drivers.client if server.seen is not None and server.seen.target == "docker" else None
