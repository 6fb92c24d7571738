"""Commands about weights: `dsv4 pull` fetches them, `dsv4 weights` lists, verifies and removes them."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options

weights_app = typer.Typer(
    help="List, verify and remove the weights that are here.\n\nExample: dsv4 weights verify flash-b200",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Revision = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option(
        "--revision", metavar="REV", help="Commit, tag or branch, instead of the config's.", show_default=False
    ),
]
Model = Annotated[
    Optional[str],  # noqa: UP045
    typer.Argument(
        metavar="[CONFIG|REPO]",
        help="A config, whose model is meant, or a Hub repository (owner/name).",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("pull")(pull)
    app.add_typer(weights_app, name="weights")


def pull(
    config: options.Config = None,
    overrides: options.Overrides = None,
    revision: Revision = None,
    source: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--source",
            metavar="DIR|rsync://…|USER@NODE:PATH",
            help="Take them from the Hub cache (or HF_HOME) there, not from the Hub.",
            show_default=False,
        ),
    ] = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Fetch a config's weights into the Hub cache of this host, so that a start needs no Hub.

    The revision becomes a commit first, and is recorded as one: every node that pulls that commit serves the same
    bytes. Size and free space are compared before the first byte, every file's hash after its last. What is complete
    is kept, whatever happens: run it again and it goes on. A second pull of the same model waits for the first.

    HF_ENDPOINT names a mirror, HF_HUB_OFFLINE=1 forbids to ask, HF_HOME says where the cache is. The token is that of
    the variable in secrets.hf_token, else of `hf auth login`.

    Exit 6: rsync is missing. 9: gated, not found, no room, unreachable, wrong hash. 130: interrupted.

    Example: dsv4 pull flash-b200

    Example: dsv4 pull my.yaml --source user@node7:.cache/huggingface
    """
    from dsv4_launch.cli.weights import weighing

    return weighing.pull(config, overrides, revision, source, output)


@weights_app.command("ls")
def ls(model: Model = None, output: options.OutputOption = options.Output.human) -> int:
    """List the weights that are here: commit, branches that stand for it, size, and whether they are complete.

    Example: dsv4 weights ls
    """
    from dsv4_launch.cli.weights import weighing

    return weighing.ls(model, output)


@weights_app.command("verify")
def verify(
    model: Model = None,
    revision: Revision = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch again from the Hub what is broken or missing, and nothing else.")
    ] = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Compare every file with the size and hash that it was published with. Reads all of it; asks the Hub for nothing.

    Large files are named after their SHA-256 in the cache, small ones after git's SHA-1. Default: flash-b200.

    Exit 9: something is broken or missing, or cannot be judged.

    Example: dsv4 weights verify flash-b200 --repair
    """
    from dsv4_launch.cli.weights import weighing

    return weighing.verify(model, revision, output, repair=repair)


@weights_app.command("rm")
def rm(
    model: Annotated[
        str, typer.Argument(metavar="CONFIG|REPO", help="A config, whose model is meant, or a Hub repository.")
    ],
    revision: Revision = None,
    yes: options.Yes = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Remove weights from the cache: every commit of the model, or one. Files that another commit uses stay.

    Asks first; where nobody can answer, --yes is needed.

    Exit 2: nobody was there to ask. 9: it is not here, or a pull of it runs.

    Example: dsv4 weights rm deepseek-ai/DeepSeek-V4-Flash --yes
    """
    from dsv4_launch.cli.weights import weighing

    return weighing.rm(model, revision, output, yes=yes)
