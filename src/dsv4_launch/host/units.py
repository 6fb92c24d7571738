"""Units of systemd that are installed here, as files: the manager is not asked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit file, with the text of its drop-ins behind its own."""

    path: Path
    text: str


def folders(environ: Mapping[str, str]) -> tuple[tuple[Path, ...], ...]:
    """Where units of the system and of this user lie, the first wins.

    https://www.freedesktop.org/software/systemd/man/systemd.unit.html, Unit File Load Path.
    """
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - a shell's text, not a path to open
    own = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    shared = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
    return (
        tuple(Path(folder) / "systemd/system" for folder in shared),
        tuple(Path(folder) / "systemd/user" for folder in (own, *shared)),
    )


def find(name: str, environ: Mapping[str, str]) -> Unit | None:
    """The installed unit of this name, that of the system before that of this user; None without one."""
    return next((found for searched in folders(environ) if (found := _in(name, searched))), None)


def _in(name: str, searched: Sequence[Path]) -> Unit | None:
    for folder in searched:
        with contextlib.suppress(OSError):
            path = folder / name
            return Unit(path, "\n".join([_read(path), *_drop_ins(name, searched)]))
    return None


def _drop_ins(name: str, searched: Sequence[Path]) -> Iterator[str]:
    """Their texts in the order of their file names, whatever folder they lie in."""
    found: dict[str, Path] = {}
    for folder in searched:
        for path in folder.glob(f"{name}.d/*.conf"):
            found.setdefault(path.name, path)
    for _, path in sorted(found.items()):
        with contextlib.suppress(OSError):
            yield _read(path)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace")
