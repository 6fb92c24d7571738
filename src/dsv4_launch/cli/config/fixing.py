"""`dsv4 validate --fix`: the repaired text goes back into the file, whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dsv4_launch.cli import show
from dsv4_launch.cli.configs import builtin_folder, read
from dsv4_launch.errors import InputError
from dsv4_launch.plan.repair import Change, repair


def fix_file(path: Path, shown: str) -> tuple[Change, ...]:
    """Repair one config in place; returns what was changed. A built-in config is left as it is.

    Raises InputError: not a config, or the file cannot be written.
    """
    real = path.resolve()
    if builtin_folder().resolve() in real.parents:
        show.note(f"{shown}: a built-in config is not changed; copy it first")
        return ()
    raw = read(path, shown)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return ()  # loading it says where
    mended, changes = repair(text, shown)
    if mended != text:
        _replace(real, mended.encode(), shown)
    return changes


def _replace(path: Path, content: bytes, shown: str) -> None:
    """Write beside the file and rename, so that no reader and no crash sees half of it."""
    temporary = ""
    try:
        mode = path.stat().st_mode
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(content)
        Path(temporary).chmod(mode & 0o7777)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise InputError(f"The file cannot be written: {error.strerror or error}.", where=shown) from None
