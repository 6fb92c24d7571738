"""`dsv4 proxy`: the file of a reverse proxy that publishes /v1 of a deployment, and nothing else."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options, show


class Kind(StrEnum):
    """Which proxy the file is for."""

    nginx = "nginx"
    caddy = "caddy"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("proxy")(proxy)


def proxy(
    config: options.Config = None,
    kind: Annotated[Kind, typer.Option("--kind", help="For /etc/nginx/conf.d, or a Caddyfile.")] = Kind.nginx,
    domain: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--domain", metavar="NAME", help="Publish there, with TLS.", show_default=False),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS:PORT", help="Without --domain: plain HTTP there.")
    ] = "127.0.0.1:8080",
    overrides: options.Overrides = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Print the file of a proxy that passes /v1 and nothing else: a key guards no more than that.

    vLLM's key is asked for below /v1 only; /invocations generates without one and /metrics is open. So the server stays
    on 127.0.0.1, and the proxy is what others reach. Streams are passed on token by token. The config must name a key
    (server.api_key_env or server.api_key_file): a proxy checks none. It holds no secret.

    Exit 4: the config has no key, or publishes the server itself.

    Example: dsv4 proxy my.yaml --domain llm.example.org > /etc/nginx/conf.d/dsv4.conf

    Example: dsv4 proxy my.yaml --kind caddy --domain llm.example.org > /etc/caddy/Caddyfile
    """
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.errors import UsageError
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.targets.proxy import DOMAIN, KINDS, LISTEN, Front

    if domain is not None and not DOMAIN.fullmatch(domain):
        raise UsageError(f"--domain {domain!r} is not a domain name.", fix="For example --domain llm.example.org.")
    if not (found := LISTEN.fullmatch(listen)) or not 0 < int(found.group(3)) < 65536:
        raise UsageError(f"--listen {listen!r} is not an address and port.", fix="For example 127.0.0.1:8080.")
    loaded = load_config(config, overrides)
    plan = resolve(loaded)
    _guarded(plan.host, plan.api_key_env, loaded.origins.where(("server",)))
    text = KINDS[kind.value](Front(plan.name, plan.base_url.removeprefix("http://"), domain or "", listen))
    if output is options.Output.json:
        show.envelope("proxy", 0, {"kind": kind.value, "name": plan.name, "text": text})
    else:
        show.say(text.rstrip("\n"))
    return 0


def _guarded(host: str, key: str, where: str) -> None:
    """Refuse what a proxy would not guard. Raises ImpossibleError."""
    from dsv4_launch.errors import ImpossibleError, Problem

    problems = []
    if not key:
        message = "The config names no API key: through this proxy everyone could generate."
        problems.append(Problem("proxy-needs-key", message, where, "Set server.api_key_env or server.api_key_file."))
    if not (host.startswith("127.") or host in ("::1", "localhost")):
        message = f"The server itself is published on {host}, so a proxy in front of it guards nothing."
        problems.append(Problem("proxy-passed-by", message, where, "Set server.host: 127.0.0.1."))
    if problems:
        raise ImpossibleError(*problems)
