"""`dsv4 diagnose`: what a log, or the end of a deployment, shows."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("diagnose")(diagnose)


def diagnose(
    subject: Annotated[
        str, typer.Argument(metavar="LOGFILE|NAME", help="A log, - for stdin, or a deployment (its name or config).")
    ],
    vllm: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option(
            "--vllm", metavar="VERSION", help="Release that wrote it. Default: as it says.", show_default=False
        ),
    ] = None,
    gpu: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--gpu", metavar="GPU", help="GPU type (b200, h200, …) that it ran on.", show_default=False),
    ] = None,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Explain why a server died: the known failures that its log shows, with cause, fix, and the change to the config.

    The most specific comes first. Of a deployment it also reads how it ended, and the kernel's Xid errors since its
    start; of one that is gone, the log that `stop` or `apply` saved. Any log of any release will do; nothing in it is
    run or passed on to the terminal as it is.

    Exit 0, also when nothing known is found. 3: the log cannot be read. 5: there is no such deployment.

    Example: dsv4 diagnose flash-b200

    Example: dsv4 diagnose server.log --vllm 0.28.0
    """
    from dsv4_launch.cli.advisories.diagnosing import diagnose as run

    return run(subject, vllm, gpu, target, output)
