"""Commands that read what people have: `lint` and `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options, show

_Vllm = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option(
        "--vllm", metavar="VERSION", help="The vLLM release. Default: what the image's tag says.", show_default=False
    ),
]
_Gpu = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--gpu", metavar="KEY", help="GPU type by catalog key, such as b200.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("lint")(lint)
    app.command("import")(import_)


def lint(
    text: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            metavar="TEXT|FILE|-", help="A launch command, a file that holds one, or - for stdin.", show_default=False
        ),
    ] = None,
    vllm: _Vllm = None,
    gpu: _Gpu = None,
    batch: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--batch",
            metavar="FILE.jsonl",
            help="One command a line (- for stdin); one line of JSON for each.",
            show_default=False,
        ),
    ] = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Say what is wrong with a launch as people paste it, where, and how to fix it; print the repaired command.

    Reads `docker run`, `vllm serve`, compose files, Kubernetes manifests, Dockerfiles, and tables of vLLM options.

    A line of --batch is {"id", "text" or "argv" (as after `vllm serve`), "vllm", "gpu"}; its answer is
    {"id", "ok", "errors", "warnings", "advisories"}. vllm and gpu may be left out. The answers are these lines of JSON
    with --output json too, not one envelope.

    Exit 0: no error. 3: docker or vLLM would refuse it, or it cannot work; or no launch is found.

    Example: dsv4 lint start.sh --gpu b200

    Example: dsv4 lint --batch commands.jsonl --vllm 0.28.0 > verdicts.jsonl
    """
    from dsv4_launch.errors import UsageError

    if (text is None) == (batch is None):
        raise UsageError("lint takes one text, or --batch FILE.")
    from dsv4_launch.cli.convert.linting import lint_batch, lint_text

    if batch is not None:
        return lint_batch(batch, vllm, gpu)
    return lint_text(text or "", vllm, gpu, as_json=output is options.Output.json)


def import_(
    text: Annotated[
        str, typer.Argument(metavar="TEXT|FILE|-", help="A launch command, a file that holds one, or - for stdin.")
    ],
    vllm: _Vllm = None,
    gpu: _Gpu = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "-o", "--out", metavar="FILE.yaml", help="Write the config there, not to stdout.", show_default=False
        ),
    ] = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Turn a launch command into a config file. What cannot be carried over is said, there and on stderr.

    Exit 0: the config is written. 3: no launch is found.

    Example: dsv4 import start.sh --gpu b200 -o mine.yaml
    """
    from dsv4_launch.cli.convert.converting import imported_text, problems_of, read_text
    from dsv4_launch.convert.lint.judge import known_gpu
    from dsv4_launch.errors import InputError

    known_gpu(gpu)
    source, name = read_text(text)
    config, notes = imported_text(source, name, vllm, gpu)
    problems = problems_of(config)
    if out is not None:
        try:
            out.write_text(config, "utf-8")
        except OSError as error:
            raise InputError(f"The config cannot be written: {error.strerror or error}.", where=str(out)) from None
    if output is options.Output.json:
        show.envelope("import", 0, {"config": config, "notes": notes, "problems": problems})
        return 0
    for said in dict.fromkeys(f"{note.kind}: {note.text}" for note in notes):  # -it is two options with one note
        show.note(show.clean(said))
    for problem in problems:
        show.note(f"warning: the config is not valid as it is: {problem}")
    if out is None:
        show.say(config.rstrip("\n"))
    return 0
