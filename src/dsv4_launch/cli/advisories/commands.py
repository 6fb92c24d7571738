"""Commands that speak about known failures: `dsv4 advisories` and `dsv4 explain`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("advisories")(advisories)
    app.command("explain")(explain)


def advisories(
    vllm: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--vllm", metavar="VERSION", help="Only those of this release.", show_default=False),
    ] = None,
    gpu: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--gpu", metavar="GPU", help="Only those of this GPU type (b200, h200, …).", show_default=False),
    ] = None,
    match: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--match", metavar="LOGFILE", help="Only those that a log shows; - reads it from stdin."),
    ] = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """List known failures of the model on vLLM, or those that explain a log, the most specific first.

    `dsv4 validate` and `dsv4 plan` show those that a config will meet.

    Example: dsv4 advisories --match server.log
    """
    from dsv4_launch.cli.advisories.advising import list_advisories

    return list_advisories(vllm, gpu, match, output)


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="As printed: D56, server-late, GPU002, …")],
    output: options.OutputOption = options.Output.human,
) -> int:
    """Explain a code: what it means, what to do, and the exit code that it comes with.

    Every code that dsv4 prints is known: of an error, a check, a constraint, an advisory, a limit of the model (H1 …).

    Example: dsv4 explain D56

    Example: dsv4 explain bench-other-server
    """
    from dsv4_launch.cli.advisories.explaining import explain_code

    return explain_code(code, output)
