"""Commands about memory: `dsv4 fit` and `dsv4 recommend`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options


class ObjectiveName(StrEnum):
    """What the best layout is best at."""

    throughput = "throughput"
    latency = "latency"
    context = "context"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("fit")(fit)
    app.command("recommend")(recommend)


def fit(
    words: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads the annotation at run time
        typer.Argument(
            metavar="[CONFIG] [KEY=VALUES…]",
            help="A config file or built-in name (default: flash-b200); after --sweep, further keys.",
            show_default=False,
        ),
    ] = None,
    available_kv_gib: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--available-kv-gib", metavar="GIB", help="Measured KV memory of one GPU, instead of an estimate."
        ),
    ] = None,
    log: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--log", metavar="FILE", help="Read it from a server's startup log; - reads stdin."),
    ] = None,
    calibrate: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--calibrate", metavar="FILE", help="Read it from a startup log and remember it for this layout."),
    ] = None,
    sweep: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--sweep", metavar="KEY=VALUES", help="A table over values: a,b,c or first..last (doubled)."),
    ] = None,
    overrides: options.Overrides = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Say how the memory of one GPU is spent, and how many requests of which length it holds. Needs no GPU.

    What vLLM computes is exact; what only a start shows is a span, until a log replaces it.
    Exit 4: not even one request of the wanted length fits.

    Example: dsv4 fit flash-b200 --sweep max_num_batched_tokens=4096..65536 parallel=tp4,tp8,dp4,dp8
    """
    from dsv4_launch.cli.fit.fitting import run_fit

    return run_fit(words or [], available_kv_gib, log, calibrate, sweep or [], overrides, output)


def recommend(
    context: Annotated[int, typer.Option("--context", metavar="TOKENS", help="Longest request, in tokens.", min=1)],
    concurrency: Annotated[int, typer.Option("--concurrency", metavar="N", help="Such requests at once.", min=1)],
    objective: Annotated[
        ObjectiveName, typer.Option("--objective", help="What to order by, of the layouts that hold them.")
    ] = ObjectiveName.throughput,
    gpu: Annotated[str, typer.Option("--gpu", metavar="GPU", help="GPU type (b200, h200, …).")] = "b200",
    gpus: Annotated[int, typer.Option("--gpus", metavar="N", help="GPUs at hand.", min=1, max=64)] = 8,
    vllm: Annotated[str, typer.Option("--vllm", metavar="VERSION", help="vLLM release.")] = "0.32.0",
    model: Annotated[str, typer.Option("--model", metavar="MODEL", help="Catalog key of the checkpoint.")] = "flash",
    output: options.OutputOption = options.Output.human,
) -> int:
    """Name the layouts that hold so many requests of such a length, best first, with what decides and the config.

    Memory comes from the planner, at the low end of its span; speed is a ceiling that orders layouts, no prediction.
    Exit 4: none holds them.

    Example: dsv4 recommend --context 131072 --concurrency 200
    """
    from dsv4_launch.cli.fit.fitting import run_recommend

    return run_recommend(context, concurrency, objective.value, gpu, gpus, vllm, model, output)
