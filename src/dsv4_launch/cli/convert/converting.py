"""`dsv4 lint` and `dsv4 import`: reading what was pasted, and the config that comes of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsv4_launch.cli import show
from dsv4_launch.config.load import load
from dsv4_launch.convert.imports.config_text import config_text
from dsv4_launch.convert.imports.imported import Note
from dsv4_launch.convert.imports.importer import import_launch, labelled
from dsv4_launch.convert.lint.judge import MAX_BYTES
from dsv4_launch.convert.read.find import find_launches
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.secrets import secret_values, without_secrets
from dsv4_launch.errors import Dsv4Error, InputError
from dsv4_launch.plan.resolve import resolve, resolve_to_fit
from dsv4_launch.targets import render, shell
from dsv4_launch.values import counted


def read_text(argument: str) -> tuple[str, str]:
    """The text that an argument names, and what to call it: a file, ``-`` for stdin, or the text itself.

    Raises InputError: no such file, unreadable, or larger than the limit.
    """
    if argument == "-":
        return _decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "stdin"), "stdin"
    if len(argument) < 4096 and "\n" not in argument and "\x00" not in argument:
        path = Path(argument)
        try:
            if path.is_file():
                with path.open("rb") as file:
                    return _decoded(file.read(MAX_BYTES + 1), argument), argument
            if path.is_dir():
                raise InputError("This is a folder; a file or a text is wanted.", where=argument)
        except OSError as error:
            raise InputError(f"The file cannot be read: {error.strerror or error}.", where=argument) from None
        if not any(c.isspace() for c in argument.strip()):
            raise InputError("There is no such file.", where=argument, fix="A command is given as one quoted argument.")
    return _decoded(argument.encode("utf-8", "surrogateescape"), "text"), "text"


def _decoded(raw: bytes, name: str) -> str:
    if len(raw) > MAX_BYTES:
        raise InputError(f"The text is larger than {MAX_BYTES:,} bytes.", where=name, fix="Is this the right file?")
    return raw.decode("utf-8-sig", "replace")


def imported_text(text: str, name: str, vllm: str | None, gpu: str | None) -> tuple[str, list[Note]]:
    """The config file of the first launch in a text, and what is to be said about it. Raises InputError for none."""
    launches = find_launches(text)
    if not launches:
        raise InputError(
            "No launch of vLLM is found in the text.",
            where=name,
            fix="It holds a `docker run`, a `vllm serve`, a compose file, a Kubernetes manifest or a Dockerfile?",
            code="no-launch",
        )
    launch = launches[0]
    imported = import_launch(launch, text, vllm, gpu)
    notes = list(imported.notes)
    if len(launches) > 1:
        others = counted(len(launches) - 1, "more launch", "more launches")
        notes.append(Note("lost", f"{others} of the text: import each by itself"))
    data = _labelled(launch) if not vllm and not gpu else None
    if data is not None:
        return config_text(data, (), name), []
    secrets = secret_values(launch, imported.engine)
    notes = [Note(note.kind, without_secrets(note.text, secrets), note.span) for note in notes]
    return config_text(imported.data, notes, name), notes


def _labelled(launch: Launch) -> Mapping[str, Any] | None:
    """The config of our own label, when rendering it gives the very words that were pasted."""
    data = labelled(launch)
    if data is None:
        return None
    try:
        again = shell.oneline(render(resolve(load(config_text(data, (), "label"), "label"))))
    except Dsv4Error:
        return None
    same = find_launches(again)
    return data if same and _said(same[0]) == _said(launch) else None


def _said(launch: Launch) -> tuple[Any, ...]:
    return (
        [word.text for word in launch.engine],
        launch.image.text if launch.image else "",
        [(option.name, option.value) for option in launch.options],
        [(variable.name, variable.value) for variable in launch.variables],
    )


def problems_of(text: str) -> list[str]:
    """What `dsv4 validate` would say of an imported config."""
    try:
        resolve_to_fit(load(text, "config"))
    except Dsv4Error as error:
        return [show.clean(problem.message) for problem in error.problems]
    return []
