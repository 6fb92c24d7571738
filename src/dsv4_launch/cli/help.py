"""How help looks: the commands under the README's headings, arguments by their names alone, without Python's types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from dsv4_launch.values import nearest

# Short enough for a line of 80 columns; `--help` of a command says it in full.
COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Know before the launch": {
        "render-cmd": "Print the exact command that `serve` runs.",
        "validate": "Check configs; needs no GPU, no vLLM, no network.",
        "plan": "Print what will run, and why.",
        "fit": "Say what a GPU's memory holds.",
        "recommend": "Name the layouts that hold a load, best first.",
        "doctor": "Check this host, or a recorded one.",
        "facts": "Compare recorded hosts.",
        "advisories": "List known failures, or those that a log shows.",
        "explain": "Explain a code: advisory, constraint, check, error.",
        "rehearse": "Rehearse a config on real vLLM without a GPU.",
        "schema": "Print the JSON Schema of a config.",
    },
    "Read, repair and move what exists": {
        "lint": "Say what is wrong with a pasted launch, and repair it.",
        "import": "Turn a launch command into a config.",
        "migrate": "Move a config to another vLLM release.",
        "pin": "Write image digest and model commit into a config.",
    },
    "Launch and look after": {
        "pull": "Fetch the weights.",
        "weights": "List, verify and remove weights.",
        "serve": "Check, fetch, launch, wait until ready.",
        "status": "Say what runs, and how it is.",
        "stop": "Stop a deployment; running requests may finish.",
        "show": "Print the config of what runs.",
        "logs": "Print the server's log.",
        "watch": "Restart what died, find hangs, tell somebody.",
        "unit": "Print a systemd unit that launches and watches.",
        "smoke": "Test a running server as its clients use it.",
        "diagnose": "Explain why a server died.",
        "proxy": "Print the file of a proxy that passes /v1 alone.",
        "cache": "List and remove compile and kernel caches.",
    },
    "Change without fear": {
        "diff": "Compare what runs with a config.",
        "apply": "Change what runs to a config, with a way back.",
        "rollback": "Go back to an earlier launch.",
        "history": "List the launches of a deployment.",
    },
    "Measure": {
        "bench": "Measure a server, draw the results, compare them.",
    },
}


# The command of a group that is meant by what is none of its commands, nor nearly one.
IMPLIED = {"bench": "run"}


@contextmanager
def _of(ctx: typer.Context) -> Iterator[None]:
    """A wrong command line knows the command that it is of: typer's parser does not tell it of an option's value."""
    try:
        yield
    except Exception as error:
        if getattr(error, "ctx", ctx) is None:
            error.ctx = ctx  # type: ignore[attr-defined]
        raise


class Command(TyperCommand):
    """A command whose arguments are shown as their metavars say: ``[CONFIG]``, not ``[CONFIG] <str>``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        with _of(ctx):
            return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return [self.options_metavar or "", *(_usage(argument) for argument in arguments)]

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        found: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                name = _name(param) if param.param_type_name == "argument" else record[0]
                found[param.param_type_name].append((name, record[1]))
        for kind, rows in found.items():
            if rows:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(rows)


class Group(TyperGroup):
    """The program with its commands under headings; or a group of commands, each with its first sentence in full."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        implied = IMPLIED.get(self.name or "")
        own = (*self.commands, *ctx.help_option_names)
        if implied and args and args[0] not in own and not nearest(args[0], self.commands):
            args = [implied, *args]
        with _of(ctx):
            return super().parse_args(ctx, args)

    def format_commands(self, _: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        if set(self.commands) != {name for commands in COMMANDS.values() for name in commands}:
            rows = [(name, command.get_short_help_str(1_000)) for name, command in self.commands.items()]
            with formatter.section("Commands"):
                formatter.write_dl(rows)
            return
        widest = max(map(len, self.commands))
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), said) for name, said in commands.items()])


def dress(app: typer.Typer) -> None:
    """Give every command and group of a program its look."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            dress(group.typer_instance)


def _name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _usage(param: Any) -> str:
    name = _name(param)
    several = "" if param.nargs == 1 or "…" in name else "…"
    return f"{name}{several}" if param.required or name.startswith("[") else f"[{name}]{several}"
