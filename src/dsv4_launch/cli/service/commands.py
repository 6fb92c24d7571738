"""Commands that look after what runs: `dsv4 status`, `logs`, `stop` and `show`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dsv4_launch.cli import options

Deployment = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a deployment, or the config (file or built-in) that names it.")
]
AnyDeployment = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Argument(metavar="[NAME|CONFIG]", help="A deployment, or a config to compare with. Default: all."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("status")(status)
    app.command("logs")(logs)
    app.command("stop")(stop)
    app.command("show")(show_)


def status(
    name: AnyDeployment = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 0 only when ready, else 10.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until Ctrl-C; a line a round where this is no terminal.")
    ] = False,
    window: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--window",
            metavar="SECONDS",
            min=0,
            max=3600,
            help="Time over which tokens/s and percentiles are taken; 0: gauges only. Default: 1, with --watch 10.",
            show_default=False,
        ),
    ] = None,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Say of each deployment: absent, starting (and how far), ready, failed (and why) or stopped; and drift.

    Of what is ready also: requests, KV cache, tokens/s, TTFT and ITL percentiles, prefix cache hits and preemptions
    over a window, from the server's own /metrics; memory and power of its GPUs; and whether somebody watches it.

    Drift means that what runs is not what the config says: with a config file, that file; with a name, the config
    that was launched, rendered by this version of dsv4.

    Example: dsv4 status flash-b200 --check && ./use-it

    Example: dsv4 status configs/my.yaml

    Example: dsv4 status --watch --window 30
    """
    from dsv4_launch.cli.service import status_watch, statuses

    if watch:
        return status_watch.watch(name, target, output, check=check, window_s=10.0 if window is None else window)
    return statuses.status(name, target, output, check=check, window_s=1.0 if window is None else window)


def logs(
    name: Deployment,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the server ends.")] = False,
    tail: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--tail", metavar="N", min=0, help="Only the last N lines. Default: all.", show_default=False),
    ] = None,
    since: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--since", metavar="TIME", help="Only later lines: 10m, 1h30m, 2d, or an ISO time (UTC)."),
    ] = None,
    level: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--level", metavar="LEVEL", help="Only this level or a graver one: DEBUG INFO WARNING ERROR."),
    ] = None,
    grep: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--grep", metavar="PATTERN", help="Only lines in which this regular expression is found."),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest saved log of a deployment that is gone.")] = False,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Print the server's log, or what is wanted of it.

    A line without a level (a traceback) goes with the one before it of its process. --tail counts lines before they are
    chosen. With docker --since goes by the engine's own stamps, natively by the times in the lines.

    Example: dsv4 logs -f --tail 50 flash-b200

    Example: dsv4 logs flash-b200 --since 10m --level WARNING --grep 'KV|cache'
    """
    from dsv4_launch.cli.service import log_reading

    wanted = log_reading.Wanted(tail, since, level, grep)
    return log_reading.logs(name, target, output, wanted, follow=follow, last=last)


def stop(
    name: Deployment,
    timeout: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=1,
            help="Time to finish before it is killed. Default: what its requests have, and 30 s.",
            show_default=False,
        ),
    ] = None,
    no_save_log: Annotated[
        bool, typer.Option("--no-save-log", help="Do not save its log before it is removed.")
    ] = False,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Stop a deployment and remove it: running requests may finish, new ones are refused.

    Nothing stays but caches, weights, its place in `dsv4 history` and the end of its log, which is saved in the state
    folder (five logs of at most 32 MiB each) for `dsv4 logs NAME --last`.

    Example: dsv4 stop flash-b200 && dsv4 logs flash-b200 --last --tail 50
    """
    from dsv4_launch.cli.service import statuses

    return statuses.stop(name, target, output, timeout, save_log=not no_save_log)


def show_(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[NAME]", help="A deployment, or the config that names it.", show_default=False),
    ] = None,
    builtin: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--builtin", metavar="NAME", help="Print a built-in config instead, to start your own from."),
    ] = None,
    target: options.TargetOption = None,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Print the config of a running deployment as YAML. No secret is in it: a config only names them.

    Example: dsv4 show flash-b200 > running.yaml

    Example: dsv4 show --builtin flash-b200 > my.yaml
    """
    from dsv4_launch.cli.service import statuses

    return statuses.show_config(name, target, builtin, output)
