"""Options that several commands share, declared once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

import typer


class Output(StrEnum):
    """How results are printed."""

    human = "human"
    json = "json"


class CheckOutput(StrEnum):
    """How the findings of a validation are printed."""

    human = "human"
    json = "json"
    github = "github"


class TargetName(StrEnum):
    """Where a deployment runs."""

    docker = "docker"
    native = "native"


class Format(StrEnum):
    """How a command is written."""

    shell = "shell"
    oneline = "oneline"
    json = "json"


Config = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Argument(
        metavar="CONFIG",
        help="A config file, or the name of a built-in one. Default: flash-b200, the documented deployment.",
        show_default=False,
    ),
]
Name = Annotated[
    Optional[str],  # noqa: UP045
    typer.Argument(metavar="NAME", help="Name of the deployment. Default: flash-b200.", show_default=False),
]
Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="PATH=VALUE", help="Override one value, as in --set engine.max_num_seqs=256."),
]
TargetOption = Annotated[
    Optional[TargetName],  # noqa: UP045
    typer.Option("--target", help="Run in docker or natively, instead of the config's own target."),
]
FactsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--facts", metavar="FILE", help="Judge this recorded (or shipped) host instead of looking.", show_default=False
    ),
]
OutputOption = Annotated[
    Output, typer.Option("--output", help="Print for people or, as one JSON envelope, for scripts.")
]
Skips = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--skip", metavar="CODE=REASON", help="Launch although this host check fails; GPU* for a family."),
]
ServedModel = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--model", metavar="NAME", help="Served model name. Default: the first.", show_default=False),
]
KeyVariable = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--key-env",
        metavar="VARIABLE",
        help="Variable that holds the API key. Default: the deployment's own.",
        show_default=False,
    ),
]
StartTimeout = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--timeout", metavar="SECONDS", min=1, help="From launch to ready. Default: start.timeout_s."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can answer.")]
NoPull = Annotated[bool, typer.Option("--no-pull", help="Fetch neither image nor weights.")]
