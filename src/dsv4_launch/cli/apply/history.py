"""`dsv4 history`: what a deployment has been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dsv4_launch.cli import options, show
from dsv4_launch.values import to_data

if TYPE_CHECKING:
    from dsv4_launch.run.history.entries import Entry

Name = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Argument(
        metavar="[NAME|CONFIG]", help="A deployment, or the config that names it. Default: all.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("history")(history)


def history(
    name: Name = None,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """List the launches of a deployment: when, who, which vLLM and image, how it went.

    The history of containers lies on their engine (empty volumes whose labels hold the entries), so that every user of
    the engine sees the same; that of native services in the state folder. The newest 50 are kept, and the last three
    that were healthy. No secret is in it. Exit 5: the engine cannot be asked.

    Example: dsv4 history flash-b200

    Example: dsv4 history --output json | jq '.data.entries[-1].config'
    """
    from dsv4_launch.cli.apply import histories
    from dsv4_launch.cli.service import statuses

    wanted = None if name is None else statuses.named(name)[0]
    entries, problems = histories.read(wanted, target)
    exit_code = 5 if problems and not entries else 0
    if output is options.Output.json:
        rows = [{"name": one, **to_data(entry)} for one, entry in entries]
        show.envelope("history", exit_code, {"entries": rows}, problems)
        return exit_code
    for one, entry in entries:
        _tell(one, entry)
    if not entries and not problems:
        show.say("No launch is written down here" + (f" for {wanted}." if wanted else "."))
    for problem in problems:
        show.problem(problem, "warning" if entries else "error")
    return exit_code


def _tell(name: str, entry: Entry) -> None:
    what = f"{entry.target} vllm {entry.vllm}"
    image = f"{entry.image} {entry.image_digest[:19]}".strip()
    show.say(show.clean(f"{name} {entry.number}: {entry.when} {entry.by} by {entry.user}: {entry.outcome}"))
    show.say(show.clean(f"  {what}, plan {entry.digest}" + (f", {image}" if image else "")))
    if entry.why:
        show.say(show.clean(f"  {entry.why}"))
