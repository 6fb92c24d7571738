"""`dsv4 bench run`: a concurrency sweep of a running server."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options
from dsv4_launch.cli.bench import load_options


class Api(StrEnum):
    """Which endpoint is asked."""

    chat = "chat"
    completions = "completions"


# What a run that is taken up again does not take from its command line.
_PLANNED = (
    "preset", "input_len", "output_len", "concurrency", "total_tokens", "per_concurrency", "dataset", "prefix_ratio",
    "api", "thinking", "temperature", "seed", "repeats", "warmup", "rest", "timeout", "slo", "stop_on_slo",
    "stop_errors", "stop_fall", "note",
)  # fmt: skip


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("run")(run)


def run(
    context: typer.Context,
    name: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Argument(
            metavar="NAME|CONFIG", help="The deployment that is measured. Default: flash-b200.", show_default=False
        ),
    ] = None,
    url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--url", metavar="URL", help="Measure this server instead of a deployment.", show_default=False),
    ] = None,
    model: options.ServedModel = None,
    key_env: options.KeyVariable = None,
    directory: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--dir", metavar="DIR", help="Where results go. Default: bench/NAME-TIME here.", show_default=False
        ),
    ] = None,
    resume: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--resume", metavar="DIR", help="Go on with this run: only what is missing is measured.", show_default=False
        ),
    ] = None,
    preset: load_options.PresetOption = load_options.Preset.default,
    input_len: load_options.InputLen = None,
    output_len: load_options.OutputLen = None,
    concurrency: load_options.Concurrency = "1..1024",
    total_tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--total-tokens",
            metavar="N",
            min=1,
            help="Tokens of each point, in and out: the number of requests follows. Default: 2097152.",
            show_default=False,
        ),
    ] = None,
    per_concurrency: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--requests-per-concurrency",
            metavar="N",
            min=1,
            help="Instead: so many requests for each one in flight. 10 is usual.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--dataset",
            metavar="FILE",
            help="Prompts of a file: ShareGPT's .json, or .jsonl with `prompt` (and `output_tokens`) in each line.",
            show_default=False,
        ),
    ] = None,
    prefix_ratio: Annotated[
        float, typer.Option("--prefix-ratio", metavar="R", min=0, max=0.99, help="Share of a prompt that all share.")
    ] = 0.0,
    api: Annotated[
        Api, typer.Option("--api", help="Chat (the server applies its template) or completions.")
    ] = Api.chat,
    thinking: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--thinking/--no-thinking", help="Ask for it. Default: the server's own.", show_default=False),
    ] = None,
    temperature: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--temperature", metavar="T", min=0, help="Default: the server's own.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=1_000_000, help="Of the prompts.")] = 0,
    repeats: load_options.Repeats = 1,
    warmup: Annotated[
        int, typer.Option("--warmup", metavar="N", min=0, help="Requests before each point, for each one in flight.")
    ] = 2,
    rest: load_options.Rest = 5.0,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Longest time of a point; 0: any.")
    ] = 0.0,
    slo: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--slo", metavar="ttft=MS,tpot=MS,e2e=MS", help="Limits that goodput keeps.", show_default=False),
    ] = None,
    stop_on_slo: Annotated[
        bool, typer.Option("--stop-on-slo", help="Go no higher once a median is over its limit.")
    ] = False,
    stop_errors: Annotated[
        float,
        typer.Option("--stop-errors", metavar="SHARE", min=0, max=1, help="Go no higher once more fail; 0: never."),
    ] = 0.5,
    stop_fall: Annotated[
        float,
        typer.Option(
            "--stop-fall", metavar="SHARE", min=0, max=1, help="Go no higher once throughput fell so much; 0: never."
        ),
    ] = 0.0,
    tokenizer: load_options.Tokenizer = None,
    client_python: load_options.ClientPython = None,
    client_image: load_options.ClientImage = None,
    detailed: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--detailed/--no-detailed",
            help="Keep the time of every token. Default: where a point has at most 250000.",
            show_default=False,
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Kept with the run.", show_default=False)] = "",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say how long it will take, from two short probes.")
    ] = False,
    no_report: load_options.NoReport = False,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Measure a running server at rising concurrency: fixed lengths, a fixed token volume, one point after the other.

    The load comes from vLLM's own `vllm bench serve`, one process a point, in the image that serves (or the native
    environment): nothing is installed. DIR then holds vLLM's results untouched, what server and GPUs did meanwhile,
    and all that a stranger needs to run it again. Warm-up is not counted, failed requests are. Each point says whether
    the client, not the server, was the limit. At the end DIR/report holds report.html, report.md, points.csv and the
    charts (`dsv4 bench report` draws them again, or several runs in one).

    It can be interrupted, even killed: --resume DIR measures what is missing, as it was asked for then, of the same
    server.

    Exit 0: measured, or ended by a stop rule. 3: DIR is another run, or not readable. 5: no such deployment, no client.
    6: the client failed. 7: the server died (the point is marked). 8: no request was completed. 130: interrupted.

    Example: dsv4 bench run flash-b200 --concurrency 1..256 --repeats 3

    Example: dsv4 bench run --url http://127.0.0.1:8000 --tokenizer /models/flash --preset inferencex --slo ttft=2000
    """
    from dsv4_launch.cli.bench import benching
    from dsv4_launch.cli.bench.asked import Asked, lengths

    if resume is not None:
        load_options.tell_unused(context, _PLANNED)
    asked = Asked(
        name=name,
        url=url,
        model=model,
        key_env=key_env,
        directory=directory,
        resume=resume,
        lengths=lengths(preset.value, input_len, output_len, dataset),
        concurrency=concurrency,
        total_tokens=total_tokens,
        per_concurrency=per_concurrency,
        dataset=dataset,
        prefix_ratio=prefix_ratio,
        api=api.value,
        thinking=thinking,
        temperature=temperature,
        seed=seed,
        repeats=repeats,
        warmup=warmup,
        rest_s=rest,
        timeout_s=timeout,
        slo=slo,
        stop_on_slo=stop_on_slo,
        stop_errors=stop_errors,
        stop_fall=stop_fall,
        tokenizer=tokenizer,
        client_python=client_python,
        client_image=client_image,
        detailed=detailed,
        note=note,
        estimate=estimate,
        report=not no_report,
        target=target.value if target else None,
    )
    return benching.run(asked, output)
