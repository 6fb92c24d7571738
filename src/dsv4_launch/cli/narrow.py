"""Only as much of the program as a command line needs: building every option of every command doubles a short start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import typer

_ANSWERED_BY_THE_PROGRAM = frozenset({"--help", "-h", "--version"})


def narrow(app: typer.Typer, arguments: Sequence[str], *, completing: bool) -> typer.Typer:
    """The program with the one command that is called; with all names but no options for help and a misspelt name.

    Shell completion, and a line that begins with any other option, get the whole program.
    """
    first = arguments[0] if arguments else ""
    if completing or (first.startswith("-") and first not in _ANSWERED_BY_THE_PROGRAM):
        return app
    part = copy(app)
    commands = [command for command in app.registered_commands if command.name == first]
    groups = [group for group in app.registered_groups if group.name == first]
    if commands or groups:
        part.registered_commands, part.registered_groups = commands, groups
        return part
    part.registered_commands = []
    part.registered_groups = app.registered_groups
    for command in app.registered_commands:
        named = copy(command)
        named.callback = _named(command.callback)
        part.registered_commands.append(named)
    return part


def _named(command: Callable[..., object] | None) -> Callable[[], None]:
    """A command that has the help of another one, and nothing to parse."""

    def nothing() -> None:
        """Stand for a command in a list."""

    nothing.__doc__ = command.__doc__
    return nothing
