"""`dsv4 diff`: what runs against what a config says."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options
from dsv4_launch.values import counted


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("diff")(diff)


def diff(
    config: options.Config = None,
    name: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Argument(metavar="NAME", help="The deployment. Default: the one that CONFIG names.", show_default=False),
    ] = None,
    overrides: options.Overrides = None,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Compare what runs with what a config says: flag by flag, and what clients would notice.

    What runs is taken from the config that was recorded with the service; both are resolved to plans, so that a value
    which a rule fills in is compared as well. `dsv4 apply` makes the change.

    Exit 0: no difference. 5: nothing of that name is here. 10: they differ.

    Example: dsv4 diff my.yaml

    Example: dsv4 diff flash-b200-0.33 flash-b200 --output json
    """
    from dsv4_launch.cli import show
    from dsv4_launch.cli.apply import changes
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.cli.service import statuses
    from dsv4_launch.errors import Problem
    from dsv4_launch.plan.resolve import resolve

    loaded = load_config(config, overrides, target)
    plan = resolve(loaded)
    seen = statuses.find(name or plan.name, None).seen
    found = changes.compare_running(seen, plan, names=name is None)
    shown = loaded.origins.file
    count = len(found.differences)
    told = counted(count, "difference")
    problem = Problem(
        "differs",
        f"What runs as {seen.name} is not what {shown} says: {told}.",
        f"{seen.target} {seen.name}",
        f"`dsv4 apply {shown}` makes the change.",
    )
    errors = [problem] if count else []
    exit_code = 10 if count else 0
    if output is options.Output.json:
        data = {"name": seen.name, "target": seen.target, "config": shown, "same": not count}
        show.envelope("diff", exit_code, {**data, "differences": found.differences, "effects": found.effects}, errors)
        return exit_code
    if not count:
        show.say(f"{seen.name} runs as {shown} says.")
        return 0
    show.say(show.clean(f"{seen.name}: {told} between what runs and {shown} (running -> config)"))
    changes.tell(found)
    return exit_code
