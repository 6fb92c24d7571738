"""The history of native services: one file an entry, in the state folder, where the service's own record lies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from dsv4_launch.errors import HostError
from dsv4_launch.run import state
from dsv4_launch.run.history.entries import Entry, dump, numbered, ordered, parse, too_many
from dsv4_launch.run.native import service_folder

FOLDER = "history"
_TRIES = 100


class NativeHistory:
    """Entries on this machine. ``environ`` says where state lies."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def entries(self, name: str) -> list[Entry]:
        """The entries of a deployment that this user may read, oldest first."""
        return ordered(entry for _, entry in self._files(name))

    def names(self) -> list[str]:
        """Every deployment that has entries here."""
        found: set[str] = set()
        for root in state.roots(self._environ):
            with contextlib.suppress(OSError):
                found |= {folder.name for folder in (root / FOLDER).iterdir() if folder.is_dir()}
        return sorted(found)

    def add(self, name: str, entry: Entry) -> Entry:
        """Keep an entry: the file appears whole under its number, or not at all."""
        root = self._root(name)
        try:
            folder = state.subfolder(root, FOLDER, name)
            known = self.entries(name)
            number = known[-1].number if known else 0
            for _ in range(_TRIES):
                number += 1
                kept = numbered(entry, number)
                with contextlib.suppress(FileExistsError):
                    state.write_new(folder / f"{number:06d}.json", dump(kept) + "\n")
                    break
            old = {e.number for e in too_many([*known, kept])}
            for path, e in self._files(name):
                if e.number in old:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise HostError(
                f"The history of {name} cannot be written: {error.strerror}.", where=str(error.filename or root)
            ) from None
        return kept

    def _root(self, name: str) -> Path:
        """The root that has the service, else the first in which this user may write."""
        service = service_folder.existing(name, self._environ)
        return service.parents[1] if service else state.writable_root(self._environ)

    def _files(self, name: str) -> Iterator[tuple[Path, Entry]]:
        for root in state.roots(self._environ) if state.is_name(name) else ():
            with contextlib.suppress(OSError):
                for path in sorted((root / FOLDER / name).glob("*.json")):
                    entry = parse(path.read_text("utf-8", errors="replace"))
                    if entry is not None:
                        yield path, entry
