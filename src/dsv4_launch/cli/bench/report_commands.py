"""`dsv4 bench report` and `dsv4 bench compare`: measured runs become charts, tables and verdicts."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options

Formats = Annotated[str, typer.Option("--format", metavar="LIST", help="What to write, of html, md, csv, svg and png.")]
References = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--reference", metavar="KEY", help="Lay published figures of others beside."),
]
Out = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--out", metavar="DIR", help="Where to write. Default: report/ in the first run.", show_default=False),
]


def register(bench_app: typer.Typer) -> None:
    """Add the commands to `dsv4 bench`."""
    bench_app.command("report")(report)
    bench_app.command("compare")(compare)


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…", help="Run directories, folders of them, or results of guidellm, aiperf or inference-perf."
        ),
    ],
    out: Out = None,
    formats: Formats = "html,md,csv",
    title: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--title", metavar="TEXT", help="Heading of the report.", show_default=False),
    ] = None,
    reference: References = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Draw runs: ITL, TTFT, throughput scaling and tokens/s over TTFT first, then all else that was measured.

    Several runs lie over one another in each chart. The page is one file that loads nothing: light and dark, with
    tables, and with config and fingerprint beside the numbers. Points that failed, lost requests or were limited by
    the load generator are marked. Charts need `pip install 'dsv4-launch[bench]'`.

    Exit 0: written. 3: a run cannot be read, and says why. 5: the folder cannot be written. 6: the extra is missing.

    Example: dsv4 bench report runs/a runs/b --out /tmp/report --format html,png
    """
    from dsv4_launch.cli.bench import reporting

    return reporting.report(runs, out, reporting.formats(formats), title, reference or (), output)


def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="The baseline: a run directory.")],
    after: Annotated[str, typer.Argument(metavar="B", help="What is held against it.")],
    fail_on: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--fail-on", metavar="GATE", help="Exit 10 when crossed, as in 'ttft_p95>+5%'. Repeatable."),
    ] = None,
    sure: Annotated[
        bool, typer.Option("--sure", help="Cross a gate only where the whole 95 % interval lies beyond it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Compare runs that measured different things.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Print every metric, not the main four.")] = False,
    out: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--out", metavar="DIR", help="Write a report of both with the comparison.", show_default=False),
    ] = None,
    formats: Formats = "html,md,csv",
    reference: References = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Compare two runs at each concurrency: how much every figure moved, and whether that is more than noise.

    With repeats each change has a 95 % interval (Welch); with one it says that there is no confidence. Runs of another
    workload or model are refused, and with gates those of other GPUs; any other difference is told.

    A gate is METRIC, < or >, and a bound: with a sign and % or the unit it is the change, without a sign the value
    itself; @8 or @8..64 limits it to concurrencies. Metrics are the columns of the report's points.csv.

    Exit 0: compared. 3: a run cannot be read. 4: they measured different things. 10: a gate was crossed.

    Example: dsv4 bench compare runs/main runs/new --fail-on "ttft_p95>+5%" --fail-on "output_throughput<-3%@8..64"
    """
    from dsv4_launch.cli.bench import comparing, reporting

    return comparing.compare(
        before, after, fail_on or (), out, reporting.formats(formats), reference or (), output,
        force=force, sure=sure, everything=everything,
    )  # fmt: skip
