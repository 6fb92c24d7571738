"""`dsv4 bench tune`: server configurations tried one after the other."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options
from dsv4_launch.cli.bench import load_options

# What a tuning that is taken up again does not take from its command line.
_PLANNED = (
    *("overrides", "target", "preset", "input_len", "output_len"),
    *("concurrency", "per_concurrency", "repeats", "rest", "slo"),
)


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("tune")(tune)


def tune(
    context: typer.Context,
    config: options.Config = None,
    vary: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--vary", metavar="PATH=VALUE,VALUE", help="Try each value; several --vary: each combination."),
    ] = None,
    overrides: options.Overrides = None,
    target: options.TargetOption = None,
    directory: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--dir", metavar="DIR", help="Where results go. Default: bench/tune-NAME-TIME here.", show_default=False
        ),
    ] = None,
    resume: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--resume", metavar="DIR", help="Go on with this tuning, as it was begun.", show_default=False),
    ] = None,
    preset: load_options.PresetOption = load_options.Preset.default,
    input_len: load_options.InputLen = None,
    output_len: load_options.OutputLen = None,
    concurrency: load_options.Concurrency = "8,64,256",
    per_concurrency: Annotated[
        int, typer.Option("--requests-per-concurrency", metavar="N", min=1, help="Requests for each one in flight.")
    ] = 10,
    repeats: load_options.Repeats = 1,
    rest: load_options.Rest = 5.0,
    slo: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--slo", metavar="ttft=MS,tpot=MS,e2e=MS", help="Medians that the winner must keep.", show_default=False
        ),
    ] = None,
    ready_timeout: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--ready-timeout",
            metavar="SECONDS",
            min=1,
            help="Of each start. Default: start.timeout_s.",
            show_default=False,
        ),
    ] = None,
    tokenizer: load_options.Tokenizer = None,
    client_python: load_options.ClientPython = None,
    client_image: load_options.ClientImage = None,
    no_report: load_options.NoReport = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Try server configurations: launch each, measure it, stop it, and write the best one as a config.

    A configuration that is not valid or certainly does not fit into the GPUs' memory is skipped, and why is said; one
    whose server dies is marked. DIR/tNN is a run as of `dsv4 bench run` for each; DIR/tune.json has the pareto set
    (tokens/s and GPU against each user's speed) and the winner: the most tokens/s and GPU within the SLO, whose config
    is DIR/best.yaml; DIR/report has the runs drawn over one another. A setting without a table is an engine argument.
    The deployment itself must not run meanwhile.

    Exit 0: measured. 3: not one is a valid config. 4: none is possible. 5: the host is not fit, or the name is taken.
    7: no server came up. 130: interrupted; what was started has been stopped, and --resume goes on.

    Example: dsv4 bench tune flash-b200 --vary max_num_batched_tokens=8192,16384,65536 --slo ttft=2000

    Example: dsv4 bench tune my.yaml --vary 'parallel={tensor: 4, expert: true},{data: 8, expert: true}'
    """
    from dsv4_launch.cli.bench import tuning
    from dsv4_launch.cli.bench.asked import Asked, lengths

    if resume is not None:
        load_options.tell_unused(context, _PLANNED)
    asked = Asked(
        lengths=lengths(preset.value, input_len, output_len, None),
        concurrency=concurrency,
        per_concurrency=per_concurrency,
        repeats=repeats,
        rest_s=rest,
        slo=slo,
        tokenizer=tokenizer,
        client_python=client_python,
        client_image=client_image,
        report=not no_report,
        target=target.value if target else None,
    )
    wanted = tuning.Wanted(config, tuple(vary or ()), tuple(overrides or ()), directory, resume, ready_timeout)
    return tuning.tune(wanted, asked, output)
