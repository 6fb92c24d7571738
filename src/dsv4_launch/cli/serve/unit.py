"""`dsv4 unit`: the systemd unit of a deployment.

A command of its own and not an option of `watch`: like `render-cmd` it goes from a config to a text, on any machine,
whether or not the deployment is there.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("unit")(unit)


def unit(
    config: options.Config = None,
    target: options.TargetOption = None,
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Whom the unit runs as.")] = "root",
    program: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--program", metavar="PATH", help="The dsv4 that it runs. Default: this one.", show_default=False),
    ] = None,
    environment_file: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--environment-file",
            metavar="PATH",
            help="The file with its secrets. Default: /etc/dsv4/NAME.env.",
            show_default=False,
        ),
    ] = None,
    skip: options.Skips = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Print a systemd unit that launches and watches a deployment, and brings it back after a reboot.

    It waits for the NVLink fabric first (`dsv4 doctor --wait fabric`), then runs an attached `serve`, for docker and
    native alike. `systemctl stop` stops the deployment; a watch that is killed is started again and takes it over;
    `dsv4 apply` does not end it. Secrets come from a file that it names; none stands in the unit.

    Example: dsv4 unit /etc/dsv4/flash-b200.yaml > /etc/systemd/system/dsv4-flash-b200.service
    """
    from dsv4_launch.checks.examine import expand_skips, parse_skips
    from dsv4_launch.cli import show
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.errors import UsageError
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.targets import systemd

    skips = parse_skips(skip or ())
    expand_skips(skips)  # a code that is misspelt would be told after the next boot
    plan = resolve(load_config(config, None, target))
    named = config or "flash-b200"
    is_file = "/" in named or Path(named).suffix in (".yaml", ".yml")
    host = systemd.Host(
        program=program or _this_program(),
        config=_absolute(named) if is_file else named,
        user=user,
        environment_file=environment_file or f"/etc/dsv4/{plan.name}.env",
        search_path=_folders(str(plan.native.executable)) if plan.target == "native" else (),
        skips=tuple(f"{code}={reason}" for code, reason in skips.items()),
    )
    if any(not word.isprintable() for word in (*dataclasses.astuple(host)[:4], *host.search_path, *host.skips)):
        raise UsageError("A line break or control character would end a line of the unit.", where="dsv4 unit")
    text, warned = systemd.unit(plan, host), systemd.warning(plan)
    if warned:
        show.note(f"warning: {warned}")
    if output is options.Output.json:
        show.envelope("unit", 0, {"name": systemd.unit_name(plan), "text": text, "warning": warned})
    else:
        sys.stdout.write(text)
    return 0


def _absolute(path: str) -> str:
    """Without `..`; links stay, since whoever made them may point them elsewhere."""
    return os.path.abspath(path)  # noqa: PTH100


def _this_program() -> str:
    called = sys.argv[0]
    return _absolute(called) if os.sep in called else shutil.which("dsv4") or "dsv4"


def _folders(executable: str) -> tuple[str, ...]:
    """The folder of a program that systemd would not find by itself."""
    from dsv4_launch.targets.systemd import DEFAULT_PATH

    found = None if os.sep in executable else shutil.which(executable)
    folder = str(Path(found).parent) if found else ""
    return (folder,) if folder and folder not in DEFAULT_PATH.split(":") else ()
