"""`dsv4 migrate`: a config for another vLLM release, every change said and explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dsv4_launch.cli import options, show
from dsv4_launch.values import counted

if TYPE_CHECKING:
    from dsv4_launch.convert.migrate.migration import Migrated
    from dsv4_launch.errors import Problem


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("migrate")(migrate)


def migrate(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="The config file to move.")],
    to: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option("--to", metavar="VERSION", help="The vLLM release to move to; needed.", show_default=False),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 10 when something would change, and print what.")
    ] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print the new text; the file stays as it is.")] = False,
    output: options.OutputOption = options.Output.human,
) -> int:
    """Move a config to another vLLM release, newer or older: the file is edited, its comments and order stay.

    Sets vllm and the tag of vLLM's own image, and takes every setting over each release on the way: renamed ones are
    renamed, replaced ones replaced, those that did nothing dropped. Each change is printed with its reason, and then
    what the new release does differently with the same config. Migrating again changes nothing.

    Exit 3: no config, no such release, a built-in config. 4: the release cannot do what the config asks; all of it is
    listed and nothing is written. 10: --check.

    Example: dsv4 migrate my.yaml --to 0.33.0 && git diff my.yaml

    Example: dsv4 migrate flash-b200 --to 0.33.0 --stdout > my.yaml
    """
    from dsv4_launch.catalog.flags import versions
    from dsv4_launch.cli.configs import builtins, load_config, read
    from dsv4_launch.convert.migrate import migration as moving
    from dsv4_launch.errors import GateError, InputError, Problem, UsageError
    from dsv4_launch.run.pin import write

    shown = load_config(config).origins.file  # says it when it is no config
    if to is None:
        raise UsageError("--to is missing.", where="--to", fix=f"Name a vLLM release; the newest is {versions()[-1]}.")
    built_in = not Path(config).exists()
    path = builtins()[config] if built_in else Path(config)
    if not (check or stdout) and path.resolve() in {item.resolve() for item in builtins().values()}:
        raise InputError(
            f"{config} is a built-in config; those are not edited in place.",
            where=config,
            fix=f"`dsv4 migrate {config} --to {to} --stdout > my.yaml` writes a copy.",
            code="built-in",
        )
    before = read(path, shown)
    found = moving.migrate(before.decode(), shown, to)
    changed = found.text.encode() != before
    if changed and not (check or stdout):
        write(path, before, found.text.encode())
    stale = Problem(
        "not-migrated",
        f"{shown} is for vLLM {found.before}; moved to {to} it changes in {counted(len(found.changes), 'place')}.",
        shown,
        f"`dsv4 migrate {config} --to {to}` moves it.",
    )
    errors = (stale,) if check and changed else ()
    if output is options.Output.json:
        return _envelope(shown, found, errors, written=changed and not (check or stdout), text=stdout)
    _tell(shown, found, only_text=stdout, written=changed and not check)
    if errors:
        raise GateError(*errors)
    return 0


def _envelope(file: str, found: Migrated, errors: tuple[Problem, ...], *, written: bool, text: bool) -> int:
    from dsv4_launch.errors import GateError

    code = GateError.exit_code if errors else 0
    data = {
        "file": file,
        "from": found.before,
        "to": found.after,
        "written": written,
        "changes": found.changes,
        "notes": found.notes,
        "text": found.text if text else None,
    }
    show.envelope("migrate", code, data, errors)
    return code


def _tell(file: str, found: Migrated, *, only_text: bool, written: bool) -> None:
    """What changed is the result; with --stdout the text is, and what changed goes to stderr."""
    say = show.note if only_text else show.say
    for change in found.changes:
        new = f"becomes {change.new}" if change.new else "goes"
        old = str(change.old).lower() if isinstance(change.old, bool) else change.old
        say(show.clean(f"{change.where}: {change.path} {old} {new} ({change.release}: {change.why})"))
    for note in found.notes:
        source = f" [{note.source}]" if note.source else ""
        show.note(show.clean(f"note: {note.release}: {note.text}{source}"))
    if only_text:
        show.say(found.text.removesuffix("\n"))
    elif not found.changes:
        show.say(f"{file}: for vLLM {found.after} already, unchanged")
    elif written:
        show.say(f"{file}: written, from vLLM {found.before} to {found.after}")
