"""Options of every command that loads a server: lengths, points, method, and where the load comes from."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Optional

import typer

from dsv4_launch.cli import show


class Preset(StrEnum):
    """Lengths of input and output that others measure too."""

    default = "default"
    inferencex = "inferencex"
    long_context = "long-context"


PresetOption = Annotated[Preset, typer.Option("--preset", help="Lengths: 1024/1024, 8192/1024 or 131072/1024 tokens.")]
InputLen = Annotated[
    Optional[int],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--input-len", metavar="N", min=1, help="Tokens of each prompt.", show_default=False),
]
OutputLen = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--output-len", metavar="N", min=1, help="Tokens of each answer.", show_default=False),
]
Concurrency = Annotated[
    str, typer.Option("--concurrency", metavar="LIST", help="Requests in flight: 1,8,64, or doubling as 1..64.")
]
Repeats = Annotated[int, typer.Option("--repeats", metavar="N", min=1, max=100, help="Rounds over all points.")]
Rest = Annotated[float, typer.Option("--rest", metavar="SECONDS", min=0, help="Between two points.")]
Tokenizer = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--tokenizer", metavar="DIR", help="The model's folder, as the client sees it.", show_default=False),
]
ClientPython = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--client-python", metavar="PATH", help="Load from this Python's vLLM instead.", show_default=False),
]
ClientImage = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--client-image", metavar="IMAGE", help="Load from this image's vLLM instead.", show_default=False),
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Draw no report at the end.")]


def tell_unused(context: typer.Context, names: Collection[str]) -> None:
    """Say which of these parameters stand on the command line although what is taken up again has its own."""
    sources = {parameter: context.get_parameter_source(parameter.name or "") for parameter in context.command.params}
    unused = [
        parameter.opts[0]
        for parameter, source in sources.items()
        if parameter.name in names and source is not None and source.name == "COMMANDLINE"
    ]
    if unused:
        show.note(f"note: it goes on as it was asked for then, without {', '.join(unused)}")
