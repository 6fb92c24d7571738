"""Facts files: recorded ones by path, shipped ones by name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dsv4_launch.catalog.read import DATA
from dsv4_launch.errors import InputError
from dsv4_launch.values import listed, nearest

if TYPE_CHECKING:
    from dsv4_launch.facts import HostFacts


def shipped() -> dict[str, str]:
    """The hosts that come with the package: names, and the text of each."""
    return {path.stem: path.read_text("utf-8") for path in sorted((DATA / "hosts").glob("*.json"))}


def read_facts(argument: str) -> HostFacts:
    """The facts that a path or a shipped name stands for. Raises InputError: no such file, or not a facts document."""
    from dsv4_launch.facts import MAX_DOCUMENT_BYTES, HostFacts

    path = Path(argument)
    if path.exists() or "/" in argument or path.suffix == ".json":
        try:
            with path.open("rb") as file:
                data = file.read(MAX_DOCUMENT_BYTES + 1)
        except OSError as error:
            raise InputError(f"The facts cannot be read: {error.strerror or error}.", where=argument) from None
        return HostFacts.from_json(data, argument)
    known = shipped()
    if argument not in known:
        meant = nearest(argument, known)
        fix = f"Did you mean {meant}?" if meant else f"Shipped: {listed(known)}."
        raise InputError(f"{argument!r} is neither a file nor a shipped host.", where=argument, fix=fix)
    return HostFacts.from_json(known[argument], argument)


def write_file(path: str, data: bytes) -> None:
    """Write a file whole or not at all. Raises InputError where that cannot be."""
    target = Path(path)
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).replace(target)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"The file cannot be written: {error.strerror or error}.", where=path) from None
