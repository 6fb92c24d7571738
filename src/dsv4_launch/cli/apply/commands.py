"""`dsv4 apply` and `dsv4 rollback`: a running deployment changed, with the way back prepared."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options


class Smoke(StrEnum):
    """How the new service is tested before the change counts as made."""

    suite = "suite"
    short = "short"
    none = "none"


DryRun = Annotated[bool, typer.Option("--dry-run", help="Preflight and differences only; nothing is changed.")]
SmokeOption = Annotated[
    Smoke, typer.Option("--smoke", help="Test by the smoke suite (extra `smoke`), by two completions, or not at all.")
]
SmokeSkips = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--skip-smoke", metavar="CHECK=REASON", help="Leave this check of the suite out."),
]
NoRollback = Annotated[bool, typer.Option("--no-rollback", help="Do not launch the old plan again when it fails.")]
NoSaveLog = Annotated[bool, typer.Option("--no-save-log", help="Do not save the log of what is replaced.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("apply")(apply)
    app.command("rollback")(rollback)


def apply(
    config: options.Config = None,
    yes: options.Yes = False,
    dry_run: DryRun = False,
    overrides: options.Overrides = None,
    target: options.TargetOption = None,
    timeout: options.StartTimeout = None,
    skip: options.Skips = None,
    smoke: SmokeOption = Smoke.suite,
    skip_smoke: SmokeSkips = None,
    no_rollback: NoRollback = False,
    no_pull: options.NoPull = False,
    no_save_log: NoSaveLog = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Change what runs to what a config says; if the new service fails, the old plan is launched again.

    First, while the old one serves: the host is judged as if its GPUs and port were free, the differences and what
    clients will notice are shown, you are asked, image and weights are fetched. Then it is stopped (its requests may
    finish), the new one is launched and tested, and the downtime is printed: from the last good answer of the old to
    the first of the new. Old images are kept. When nothing runs it serves; when nothing differs it does nothing.

    Ctrl-C before the stop changes nothing; after it, the old plan is launched again; a second one leaves nothing
    running. Each is said; so is an installed unit (`dsv4 unit`) that would launch another config at the next boot.

    Exit 0: done, or nothing to do. 2: nobody to ask, and no --yes. 5: a host check. 6: docker or the image. 7: the new
    server died or is late. 8: it answers wrongly. 9: the weights. 10: you said no. 130: interrupted.

    Example: dsv4 apply my.yaml

    Example: dsv4 apply my.yaml --yes --smoke short --output json
    """
    from dsv4_launch.cli.apply import applying
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.plan.resolve import resolve

    plan = resolve(load_config(config, overrides, target))
    chosen = applying.chosen(timeout, skip, smoke.value, skip_smoke, yes, dry_run, no_rollback, no_pull, no_save_log)
    return applying.change_to(plan, chosen, output, "apply")


def rollback(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="NAME", help="The deployment. Default: the only one that has a history here."),
    ] = None,
    number: Annotated[
        Optional[int],  # noqa: UP045
        typer.Argument(
            metavar="N", min=1, help="Its number in `dsv4 history`. Default: the last healthy one that does not run."
        ),
    ] = None,
    yes: options.Yes = False,
    dry_run: DryRun = False,
    target: options.TargetOption = None,
    timeout: options.StartTimeout = None,
    skip: options.Skips = None,
    smoke: SmokeOption = Smoke.suite,
    skip_smoke: SmokeSkips = None,
    no_rollback: NoRollback = False,
    no_pull: options.NoPull = False,
    no_save_log: NoSaveLog = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Go back to an earlier launch of a deployment, by its config as it was written down; works as `dsv4 apply` does.

    The image is the one that ran then, if it is still on the engine. Any user who may use docker can do it.

    Exit codes are those of apply; 5 also when there is no such entry.

    Example: dsv4 rollback flash-b200

    Example: dsv4 rollback flash-b200 3 --yes
    """
    from dsv4_launch.cli.apply import applying, rolling_back

    chosen = applying.chosen(timeout, skip, smoke.value, skip_smoke, yes, dry_run, no_rollback, no_pull, no_save_log)
    return rolling_back.roll_back(name, number, target, chosen, output)
