"""`dsv4 bench`: what a server does under load, measured, drawn and compared."""

from __future__ import annotations

import typer

from dsv4_launch.cli.bench import report_commands, run_command, tune_command

bench_app = typer.Typer(
    help="Measure a server under load, draw the results, compare them.\n\n"
    "`dsv4 bench NAME` and `dsv4 bench --url URL` are `dsv4 bench run …`.\n\nExample: dsv4 bench run flash-b200",
    rich_markup_mode=None,
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    run_command.register(bench_app)
    report_commands.register(bench_app)
    tune_command.register(bench_app)
    app.add_typer(bench_app, name="bench")
