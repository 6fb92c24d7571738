"""Finding and reading configs: by path, by built-in name, by folder and glob."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from dsv4_launch.cli.quick import build_config_schema
from dsv4_launch.config.load import Loaded, load
from dsv4_launch.config.yaml_text import MAX_BYTES
from dsv4_launch.errors import InputError
from dsv4_launch.values import listed, nearest

DEFAULT = "flash-b200"
_SUFFIXES = {".yaml", ".yml"}


def builtin_folder() -> Path:
    """The folder of the built-in configs: in the wheel, or beside src in a checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "configs"
    return shipped if shipped.is_dir() else package.parents[1] / "configs"


def builtins() -> dict[str, Path]:
    """The built-in configs by name."""
    return {path.stem: path for path in sorted(builtin_folder().glob("*.yaml"))}


def load_config(name: str | None, overrides: Sequence[str] | None = None, target: str | None = None) -> Loaded:
    """The config that the user named (a file or a built-in; none: the default) with overrides applied.

    Raises InputError: no such file, a folder, unreadable, or not a valid config.
    """
    path, shown = _locate(DEFAULT if name is None else name)
    text = read(path, shown)
    build_config_schema()
    # A target given on the command line replaces the config's whole target: its options belong to the other one.
    if target and load(text, shown).config.target.type != target:
        overrides = [*(overrides or ()), f"target={{type: {target}}}"]
    return load(text, shown, overrides or ())


def read(path: Path, shown: str) -> bytes:
    """The bytes of a config file. Raises InputError with the reason."""
    try:
        if path.is_dir():
            raise InputError(
                "This is a folder; a config file is wanted.",
                where=shown,
                fix=f"`dsv4 validate {shown}` checks a folder.",
            )
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)  # one byte too many is enough to refuse it, whatever its size
    except OSError as error:
        raise InputError(f"The file cannot be read: {error.strerror or error}.", where=shown) from None
    return text


def _locate(name: str) -> tuple[Path, str]:
    path = Path(name)
    if name in builtins() and not path.is_file():  # a folder of that name does not hide it
        return builtins()[name], f"{name}.yaml"
    if not name:
        raise InputError("The name of the config is empty.", fix=_built_in_hint(name))
    if path.exists() or path.suffix in _SUFFIXES or "/" in name:
        if not path.exists():
            raise InputError("There is no such file.", where=name, fix=_built_in_hint(path.stem))
        return path, name
    raise InputError(f"{name!r} is neither a file nor a built-in config.", where=name, fix=_built_in_hint(name))


def _built_in_hint(name: str) -> str:
    meant = nearest(name, builtins())
    return f"Did you mean the built-in {meant}?" if meant else f"Built in: {listed(builtins())}."


def expand(arguments: Sequence[str]) -> list[tuple[Path, str]]:
    """Every config that files, folders (walked) and globs name, in order, each once.

    Raises InputError when a folder or glob matches no config, or a file is not there.
    """
    found: dict[Path, str] = {}
    for argument in arguments:
        for path, shown in _expand_one(argument):
            found.setdefault(path, shown)
    return list(found.items())


def _expand_one(argument: str) -> list[tuple[Path, str]]:
    path = Path(argument)
    if not argument or argument in builtins():
        return [_locate(argument)]
    if path.is_dir():
        inside = [p for p in sorted(path.rglob("*")) if p.suffix in _SUFFIXES and p.is_file()]
        if not inside:
            raise InputError("The folder holds no config (*.yaml).", where=argument)
        return [(p, str(p)) for p in inside]
    if not path.exists() and any(c in argument for c in "*?["):
        matches = [Path(p) for p in sorted(glob.glob(argument, recursive=True)) if Path(p).is_file()]  # noqa: PTH207
        if not matches:
            raise InputError("The pattern matches no file.", where=argument)
        return [(p, str(p)) for p in matches]
    return [_locate(argument)]
