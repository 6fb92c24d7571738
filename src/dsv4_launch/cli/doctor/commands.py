"""Commands about a host: `dsv4 doctor` looks at it, `dsv4 facts diff` compares two that were recorded."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options


class Awaited(StrEnum):
    """What can be waited for."""

    fabric = "fabric"


facts_app = typer.Typer(
    help="Compare recorded hosts.\n\nExample: dsv4 doctor --save a.json; dsv4 facts diff a.json b.json",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("doctor")(doctor)
    app.add_typer(facts_app, name="facts")


def doctor(
    config: options.Config = None,
    target: options.TargetOption = None,
    overrides: options.Overrides = None,
    save: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--save", metavar="FILE", help="Record what was seen, to replay or compare it anywhere."),
    ] = None,
    facts: options.FactsOption = None,
    bundle: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--bundle", metavar="OUT.tar.gz", help="Pack all an issue needs; no secret, host name or IP."),
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Ask the Hub too: reachable, clock, what the token may read.")
    ] = False,
    skip: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--skip", metavar="CODE=REASON", help="Do not let this check decide; GPU* for a family."),
    ] = None,
    wait: Annotated[
        Optional[Awaited],  # noqa: UP045
        typer.Option("--wait", help="Check nothing; wait until the GPUs and their NVLink fabric are ready."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long --wait waits at most.")
    ] = 900.0,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Check this host for a deployment: GPUs, driver, fabric, memory, disks, network, engine, model; faults first.

    Nothing is changed. What could not be read is unknown, never passed. With --facts a recorded host (or a shipped
    one, such as hgx-b200) is judged instead, where what the record does not know forbids nothing.

    Exit 0: nothing forbids a launch. 5: something does. 3: config or facts file is not valid.

    Example: dsv4 doctor flash-b200 --save node7.json

    Example: dsv4 doctor my.yaml --facts node7.json

    Example: dsv4 doctor flash-b200 --wait fabric --timeout 600
    """
    if wait is not None:
        from dsv4_launch.cli.doctor import fabric_wait

        return fabric_wait.wait((config, overrides, target), timeout, output)
    from dsv4_launch.cli.doctor.doctoring import examine_host

    wanted = (config, overrides, target)
    return examine_host(wanted, save, facts, bundle, skip or (), output, network=network)


@facts_app.command("diff")
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A facts file, or the name of a shipped host.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    config: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--config", metavar="CONFIG", help="Say too which checks of this config come out differently."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 10 when they differ.")] = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Say how two nodes differ in what matters: GPUs, driver, fabric, engine, disks; not in what moves by itself.

    Example: dsv4 facts diff good-node.json bad-node.json
    """
    from dsv4_launch.cli.doctor.comparing import compare

    return compare(first, second, config, output, check=check)
