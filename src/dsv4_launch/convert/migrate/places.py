"""Where a config says what vLLM gets: every option, nested field and variable, by the names of a release."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsv4_launch.catalog.flags import FieldType, FlagTable
from dsv4_launch.config.yaml_text import Path
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One setting: its path in the config, its name (``dest``, ``Class.field``, ``env.NAME``) and its value.

    ``text_at`` is the path of the JSON text that it stands in, () when it is written as YAML.
    """

    path: Path
    name: str
    value: Any
    text_at: Path = ()


def places(data: Mapping[str, Any], table: FlagTable) -> Iterator[Place]:
    """Every setting of a config that the release knows, in the config's order."""
    engine = data.get("engine")
    for key, value in engine.items() if isinstance(engine, Mapping) else ():
        dest, *rest = str(key).split(".")
        flag = table.by_dest.get(dest.replace("-", "_"))
        path = ("engine", key)
        if flag is None:
            continue
        if not rest:
            yield Place(path, flag.dest, value)
        if flag.config and rest:
            yield from _field(table, flag.config, path, rest, value)
        elif flag.config and isinstance(value, Mapping):
            yield from _fields(table, flag.config, path, value)
        elif flag.config and isinstance(value, str):
            for inner in _fields(table, flag.config, path, from_json(value)):
                yield Place(inner.path, inner.name, inner.value, path)
    variables = data.get("env")
    for key, value in variables.items() if isinstance(variables, Mapping) else ():
        yield Place(("env", key), f"env.{key}", value)


def from_json(text: str) -> Mapping[str, Any]:
    """The table in a JSON text; an empty one when there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _fields(table: FlagTable, cls: str, path: Path, value: Mapping[str, Any]) -> Iterator[Place]:
    for key, item in value.items():
        yield from _field(table, cls, (*path, key), str(key).split("."), item)


def _field(table: FlagTable, cls: str, path: Path, steps: Sequence[str], value: Any) -> Iterator[Place]:
    """The setting that ``steps`` name in a class, and those inside it; one key may hold several steps (``a.b``)."""
    found = table.nested(cls).get(steps[0])
    if found is None:
        return
    if len(steps) == 1:
        yield Place(path, f"{cls}.{steps[0]}", value)
    for inner in _classes(found.type):
        if len(steps) > 1:
            yield from _field(table, inner, path, steps[1:], value)
        elif isinstance(value, Mapping):
            yield from _fields(table, inner, path, value)


def _classes(kind: FieldType) -> tuple[str, ...]:
    if isinstance(kind, str):
        return ()
    if kind[0] == "cls":
        return (str(kind[1]),)
    return tuple(name for part in kind[1:] if isinstance(part, tuple) for name in _classes(part))


def has(table: FlagTable, name: str) -> bool:
    """True when the release has the option, field or variable of this name."""
    if name.startswith("env."):
        return name.removeprefix("env.") in table.env
    cls, dot, key = name.partition(".")
    return key in table.nested(cls) if dot else name in table.by_dest


def name_at(path: str, table: FlagTable) -> str:
    """The name of the setting at a config path (``engine.a.b``, ``env.X``) in a release, "" when it has none."""
    kind, _, rest = path.partition(".")
    if kind == "env":
        return path
    dest, *steps = rest.split(".")
    flag = table.by_dest.get(dest)
    name, cls = (flag.dest, flag.config or "") if flag else ("", "")
    for step in steps:
        found = table.nested(cls).get(step)
        name, cls = (f"{cls}.{step}", next(iter(_classes(found.type)), "")) if found else ("", "")
    return name
