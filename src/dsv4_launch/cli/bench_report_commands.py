"""`dsv4 bench report`: measured runs become charts and tables."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options

Formats = Annotated[str, typer.Option("--format", metavar="LIST", help="What to write, of html, md, csv, svg and png.")]
Out = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--out", metavar="DIR", help="Where to write. Default: report/ in the first run.", show_default=False),
]


def register(bench_app: typer.Typer) -> None:
    """Add the commands to `dsv4 bench`."""
    bench_app.command("report")(report)


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Run directories.")],
    out: Out = None,
    formats: Formats = "html,md,csv",
    title: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--title", metavar="TEXT", help="Heading of the report.", show_default=False),
    ] = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Draw runs: ITL, TTFT, throughput scaling and tokens/s over TTFT first, then all else that was measured.

    Several runs lie over one another in each chart. The page is one file that loads nothing: light and dark, with
    tables, and with config and fingerprint beside the numbers. Points that failed, lost requests or were limited by
    the load generator are marked. Charts need `pip install 'dsv4-launch[bench]'`.

    Exit 0: written. 3: a run cannot be read, and says why. 5: the folder cannot be written. 6: the extra is missing.

    Example: dsv4 bench report runs/a runs/b --out /tmp/report --format html,png
    """
    from dsv4_launch.cli import reporting

    return reporting.report(runs, out, reporting.formats(formats), title, output)
