"""The ``dsv4`` program: its commands, and the one place where failures become text and exit codes."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer

from dsv4_launch.cli import show
from dsv4_launch.cli.advisories import commands as advisory_commands
from dsv4_launch.cli.advisories import diagnose as diagnose_command
from dsv4_launch.cli.apply import commands as apply_commands
from dsv4_launch.cli.apply import diff as diff_command
from dsv4_launch.cli.apply import history as history_command
from dsv4_launch.cli.bench import commands as bench_commands
from dsv4_launch.cli.config import commands as config_commands
from dsv4_launch.cli.config import migrate as migrate_command
from dsv4_launch.cli.config import pin as pin_command
from dsv4_launch.cli.convert import commands as convert_commands
from dsv4_launch.cli.doctor import commands as doctor_commands
from dsv4_launch.cli.fit import commands as fit_commands
from dsv4_launch.cli.help import Group, dress
from dsv4_launch.cli.narrow import narrow
from dsv4_launch.cli.serve import cache as cache_commands
from dsv4_launch.cli.serve import commands as serve_commands
from dsv4_launch.cli.serve import proxy as proxy_command
from dsv4_launch.cli.serve import rehearse as rehearse_command
from dsv4_launch.cli.serve import unit as unit_command
from dsv4_launch.cli.service import commands as service_commands
from dsv4_launch.cli.service import smoke as smoke_commands
from dsv4_launch.cli.service import watch as watch_commands
from dsv4_launch.cli.weights import commands as weights_commands
from dsv4_launch.errors import BUG_EXIT_CODE, Dsv4Error, Problem

# 128 and SIGPIPE, as a shell shows it of other programs.
_READER_LEFT = 141
# Objects between two rounds of the garbage collector. Nearly all that a short command makes lives until it ends, and
# Python's own 700 (2000 from 3.13 on) would look through it a hundred times for nothing.
COLLECT_AFTER = 50_000

app = typer.Typer(
    name="dsv4",
    cls=Group,
    help="Put DeepSeek-V4-Flash into production with vLLM: one typed config in, a healthy endpoint out.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich doubles the start of every --help: it imports a Markdown parser and a highlighter
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_commands.register(app)
serve_commands.register(app)
service_commands.register(app)
fit_commands.register(app)
doctor_commands.register(app)
rehearse_command.register(app)
pin_command.register(app)
proxy_command.register(app)
migrate_command.register(app)
advisory_commands.register(app)
convert_commands.register(app)
weights_commands.register(app)
cache_commands.register(app)
diagnose_command.register(app)
diff_command.register(app)
apply_commands.register(app)
history_command.register(app)
smoke_commands.register(app)
bench_commands.register(app)
watch_commands.register(app)
unit_command.register(app)
dress(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        show.say(f"dsv4 {version('dsv4-launch')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Put DeepSeek-V4-Flash into production with vLLM: one typed config in, a healthy endpoint out."""


def run() -> None:
    """Entry point: run the command line and exit with its code."""
    gc.set_threshold(COLLECT_AFTER)
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_left()
    gc.freeze()  # the process ends: its memory goes back as a whole, not object by object
    sys.exit(code)


def main(arguments: list[str]) -> int:
    """Run one command line; returns its exit code."""
    try:
        program = narrow(app, arguments, completing="_DSV4_COMPLETE" in os.environ)
        result = program(arguments, prog_name="dsv4", standalone_mode=False)
    except Dsv4Error as error:
        return _failed(error.problems, error.exit_code, arguments)
    except SystemExit as ended:
        # typer ends a command at a broken pipe with exit 1, which means a bug here.
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return _reader_left()
    except Exception as error:
        return _typer_failed(error, arguments) if hasattr(error, "format_message") else _bug(error, arguments)
    return result if isinstance(result, int) else 0


def _reader_left() -> int:
    """What a shell says of a program whose reader left (``| head``): never 0, since a gate may not have been judged."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would complain on exit
    return _READER_LEFT


def _failed(problems: tuple[Problem, ...], exit_code: int, arguments: list[str]) -> int:
    if _wants_json(arguments):
        show.envelope(_command(arguments), exit_code, None, problems)
    else:
        for problem in problems:
            show.problem(problem)
    return exit_code


def _typer_failed(error: Exception, arguments: list[str]) -> int:
    """A wrong command line, in typer's words."""
    message = error.format_message()  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":  # of the program or of a group; the message is the help
        show.note(message)
        return 2
    context = getattr(error, "ctx", None)
    hint = f"`{context.command_path} --help` shows how." if context else "`dsv4 --help` lists the commands."
    return _failed((Problem("usage", message, fix=hint),), 2, arguments)


def _bug(error: Exception, arguments: list[str]) -> int:
    """A fault of ours: the traceback goes to a file, and a text to report it with is printed."""
    from dsv4_launch.cli.bug import report

    return _failed((report(error, arguments),), BUG_EXIT_CODE, arguments)


def _wants_json(arguments: list[str]) -> bool:
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--output=json" in before or ["--output", "json"] in [before[n : n + 2] for n in range(len(before))]


def _command(arguments: list[str]) -> str:
    before = ["", *arguments]
    named = (a for a, option in zip(arguments, before, strict=False) if a[:1] != "-" and option != "--output")
    return next(named, "")
