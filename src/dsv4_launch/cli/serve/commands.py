"""`dsv4 serve`: launch a deployment."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dsv4_launch.cli import options


class OnFailure(StrEnum):
    """What becomes of a service that died, or was late."""

    keep = "keep"
    remove = "remove"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("serve")(serve)


def serve(
    config: options.Config = None,
    target: options.TargetOption = None,
    overrides: options.Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything but launch (and fetch): checks, and the command.")
    ] = False,
    facts: options.FactsOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return after the launch; do not wait until ready.")] = False,
    attach: Annotated[bool, typer.Option("--attach", help="Follow the log once it is ready.")] = False,
    timeout: options.StartTimeout = None,
    skip: options.Skips = None,
    on_failure: Annotated[
        OnFailure,
        typer.Option("--on-failure", help="Keep a service that died or was late, or save its log and remove it."),
    ] = OnFailure.keep,
    no_pull: options.NoPull = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Check this host, fetch what is missing, launch, wait until ready, and print the endpoint.

    Image and weights are fetched first, outside of the start's deadline. Then it shows the stages of the start, each
    with its time and that of the last start of the same plan, until /health and /v1/models answer and a completion of
    one token came back. Docker: returns once ready (--attach follows the log, --detach does not wait).
    Native: stays in the foreground unless --detach. Ctrl-C before ready stops and removes what was started; after
    that it leaves a container running and stops a native server. A closed terminal (an ssh session that ends) and
    SIGTERM count as Ctrl-C: under nohup or tmux, or with --detach, a native server goes on.

    A finished deployment of the same name is replaced. One that runs from the very same plan is left as it is.

    Exit 5: a host check fails, the name or port is taken. 6: docker or the image. 7: the server died or is late; its
    last lines are shown. 8: it is up and completes nothing. 9: the weights. 130: interrupted.

    Example: dsv4 serve flash-b200 --set server.port=8001

    Example: dsv4 serve my.yaml --dry-run
    """
    from dsv4_launch.checks.examine import parse_skips
    from dsv4_launch.cli import show
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.cli.serve import serving
    from dsv4_launch.errors import UsageError
    from dsv4_launch.plan.resolve import resolve_to_fit
    from dsv4_launch.run.world import Options

    if attach and detach:
        raise UsageError("--attach and --detach exclude each other.", where="dsv4 serve")
    if facts and not dry_run:
        raise UsageError("--facts judges a recorded host, so nothing can be launched there.", fix="Add --dry-run.")
    chosen = Options(timeout, detach, parse_skips(skip or ()), on_failure.value, not no_pull)
    plan = resolve_to_fit(load_config(config, overrides, target))
    if timeout and timeout > plan.timeout_s:
        show.note(f"warning: vLLM itself gives up after start.timeout_s ({plan.timeout_s} s); set that to wait longer")
    if dry_run:
        return serving.dry_run(plan, chosen, output, facts)
    return serving.launch(plan, chosen, output, attach=attach)
