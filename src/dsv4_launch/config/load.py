"""Text to config: a value for every field, where it was written, overrides, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import InputError, Problem

# Text, and words for what is wrong, are costly to import, and plain data that is right needs neither.
if TYPE_CHECKING:
    from dsv4_launch.config.yaml_text import Path


@dataclass(frozen=True, slots=True)
class Origins:
    """Where each value of a config was written."""

    file: str
    lines: Mapping[Path, int]
    overridden: frozenset[Path] = frozenset()

    def where(self, path: Path) -> str:
        """``file:line`` of the value, or of the nearest table around it that is written."""
        for written in sorted(self.overridden, key=str) if path not in self.lines else ():
            if written[: len(path)] == path:
                return f"--set {'.'.join(map(str, written))}"
        for end in range(len(path), 0, -1):
            if path[:end] in self.overridden:
                return f"--set {'.'.join(map(str, path[:end]))}"
            if path[:end] in self.lines:
                return f"{self.file}:{self.lines[path[:end]]}"
        return self.file


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config and where its values come from."""

    config: LaunchConfig
    origins: Origins


def load(text: str | bytes, file: str, overrides: Sequence[str] = ()) -> Loaded:
    """The config that a YAML text holds, with ``path=value`` overrides applied on top.

    Raises InputError with every problem found: ``file:line``, the wrong value, the nearest right name, what is allowed.
    """
    from dsv4_launch.config.yaml_text import parse

    data, lines = parse(text, file)
    overridden = frozenset(_override(data, item) for item in overrides)
    origins = Origins(file, lines, overridden)
    return Loaded(from_data(data, origins), origins)


def load_rest(text: str | bytes, file: str, overrides: Sequence[str] = ()) -> Loaded | None:
    """The config without the values that are wrong by themselves, so that the others can be judged in the same go.

    None when the text is no YAML, or too little is left of it.
    """
    from pydantic import ValidationError

    from dsv4_launch.config.explain import wrong_paths
    from dsv4_launch.config.yaml_text import parse

    try:
        data, lines = parse(text, file)
        overridden = frozenset(_override(data, item) for item in overrides)
        try:
            LaunchConfig.model_validate(data)
        except ValidationError as error:
            for path in wrong_paths(error, data):
                _drop(data, path)
            data.setdefault("name", "unnamed")
        origins = Origins(file, lines, overridden)
        return Loaded(from_data(data, origins), origins)
    except InputError:
        return None


def _drop(data: Any, path: Path) -> None:
    """Take one value out of nested tables; a wrong item of a list takes the list with it."""
    for n, step in enumerate(path[:-1]):
        if not isinstance(data.get(step), dict):
            path = path[: n + 1]
            break
        data = data[step]
    data.pop(path[-1], None)


def from_data(data: Mapping[str, Any], origins: Origins) -> LaunchConfig:
    """The config that plain data holds. Raises InputError with every problem."""
    from pydantic import ValidationError

    try:
        return LaunchConfig.model_validate(data)
    except ValidationError as error:
        from dsv4_launch.config.explain import problems_of

        raise InputError(*problems_of(error, data, origins.where)) from None


def to_data(config: LaunchConfig) -> dict[str, Any]:
    """What was set, as plain data: lists, tables and scalars."""
    data: dict[str, Any] = config.model_dump(mode="json", exclude_unset=True)
    return data


def dump(config: LaunchConfig) -> str:
    """The config as YAML text; loading it gives an equal config."""
    import yaml

    return yaml.safe_dump(to_data(config), sort_keys=False, allow_unicode=True, width=100)


def _override(data: dict[str, Any], item: str) -> Path:
    """Apply one ``path=value`` to the data; the value is read as YAML. Returns the path."""
    from dsv4_launch.config.yaml_text import parse

    name, equals, text = item.partition("=")
    keys = name.strip().split(".")
    where = f"--set {item}"
    if not equals or not all(keys):
        raise InputError(
            "An override is written path=value.", where=where, fix="For example --set engine.max_num_seqs=256."
        )
    table: Any = data
    for key in keys[:-1]:
        table = table.setdefault(key, {}) if isinstance(table, dict) else None
        if table is None:
            table = {}
        if not isinstance(table, dict):
            raise InputError(f"{name} is inside a value that is not a table.", where=where)
    try:
        value, _ = parse(f"value: {text}" if text.strip() else "value: ''", where)
    except InputError as error:
        raise InputError(*(Problem(p.code, p.message, where, p.fix) for p in error.problems)) from None
    table[keys[-1]] = value["value"]
    return tuple(keys)
