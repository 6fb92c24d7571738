"""Commands that keep a deployment alive: the watch, and the systemd unit that runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from dsv4_launch.cli import options


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("watch")(watch)


def watch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A deployment, or the config whose rules are to hold for it.")
    ],
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Watch a deployment: start it again when it died, find hangs, end crash loops, tell whom the config names.

    The rules stand in the config under `watch:`. What the docker engine or the native supervisor starts again by itself
    (target.restart) is left to them and only counted: nothing is started twice. A hang is requests that run, and no
    token for watch.hang_s seconds, while /health says that all is well, or a start that takes longer than
    start.timeout_s; it is reported, or ended if watch.on_hang is restart.

    An attached `serve` does the same. Ctrl-C ends the watch, never the deployment; the next watch takes over. While
    `serve`, `apply` or `rollback` changes the deployment it waits, then it watches what came of that.

    Exit 0: it was stopped. 5: absent, or watched already, or nothing came of a change. 7: it crashes again and again,
    with what explains it.

    Example: dsv4 watch flash-b200

    Example: dsv4 watch my.yaml
    """
    from dsv4_launch.cli.service import watching

    return watching.watch(name, target, output)
