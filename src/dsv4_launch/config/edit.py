"""Change, add or remove values in YAML text; every comment, blank line, order and quoting style around them stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import yaml

from dsv4_launch.config import splice
from dsv4_launch.config.splice import Spot
from dsv4_launch.config.yaml_text import Path, parse
from dsv4_launch.errors import InputError
from dsv4_launch.values import canonical_json


class _Removed:
    """The wish that a value is gone."""


REMOVED: Final = _Removed()
Change: TypeAlias = tuple[Path, Any]


def set_value(text: str, path: Path, value: Any, file: str = "the config") -> str:
    """The text with one value set; tables on the way are added. Errors: as `edit`."""
    return edit(text, [(path, value)], file)


def remove(text: str, path: Path, file: str = "the config") -> str:
    """The text without one value. A table left empty is written ``{}``; nothing to remove is no error."""
    return edit(text, [(path, REMOVED)], file)


def edit(text: str, changes: Iterable[Change], file: str = "the config") -> str:
    """The text with every change made, in order; ``(path, REMOVED)`` removes.

    A table is merged into the table that is there: equal values keep their spelling, keys that it lacks go.
    Making the same changes again changes nothing.

    Raises InputError when the text is not a config's YAML, or a path leads through a value that is no table.
    """
    data, lines = parse(text, file)
    for path, value in changes:
        where = f"{file}:{next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 1)}"
        data = _wanted(data, path, value, path, where)
        text = _apply(text, path, value, where)
    found, _ = parse(text, file)
    if canonical_json(found) != canonical_json(data):
        raise RuntimeError("an edited config does not hold what was asked for")
    return text


def _wanted(data: Any, path: Path, value: Any, whole: Path, where: str) -> Any:
    """The data that the edited text must hold."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    gone = value is REMOVED
    if isinstance(step, int) and isinstance(data, tuple | list):
        if gone and step >= len(data):
            return data
        if step > len(data) or step < 0:
            raise InputError(f"{_name(whole)} is beyond the end of its list.", where=where)
        inside = _wanted(data[step] if step < len(data) else None, rest, value, whole, where)
        return (*data[:step], *(() if inside is REMOVED else (inside,)), *data[step + 1 :])
    if data is None and gone:
        return None
    if data is None and step == 0:
        return (_wanted(None, rest, value, whole, where),)
    if isinstance(step, int) or not (data is None or isinstance(data, Mapping)):
        raise InputError(f"{_name(whole)} is inside a value that is not a table.", where=where)
    table = dict(data or {})
    if gone and step not in table:
        return data
    table[step] = _wanted(table.get(step), rest, value, whole, where)
    return {key: item for key, item in table.items() if item is not REMOVED}


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _name(path: Path) -> str:
    return ".".join(map(str, path))


def _apply(text: str, path: Path, value: Any, where: str) -> str:
    """One change, the smallest that does it."""
    root = splice.compose(text, where)
    spots: list[Spot] = []
    node: yaml.Node = root
    for depth, step in enumerate(path):
        n = splice.position(node, step)
        if n is None:
            if value is REMOVED:
                return text
            nested = _nested(path[depth + 1 :], value)
            if isinstance(node, yaml.ScalarNode):  # `key:` with nothing behind it
                return splice.replace(text, root, spots[-1], _nested((step,), nested))
            return splice.add(text, root, node, step, nested)
        spots.append(Spot(node, n))
        node = spots[-1].value
    if value is REMOVED:
        return _drop(text, root, spots)
    old, new = _at(parse(text, where)[0], path), value
    if canonical_json(old) == canonical_json(new):
        return text
    if isinstance(old, Mapping) and isinstance(new, Mapping) and new and old:
        # What is new comes before what goes, so that no table is empty in between.
        for key in (*new, *(key for key in old if key not in new)):
            text = _apply(text, (*path, key), new.get(key, REMOVED), where)
        return text
    if isinstance(old, tuple) and isinstance(new, tuple | list) and new and old:
        for n, item in enumerate(new):
            text = _apply(text, (*path, n), item, where)
        for n in range(len(old) - 1, len(new) - 1, -1):
            text = _apply(text, (*path, n), REMOVED, where)
        return text
    if not spots:
        raise InputError("A config is a table.", where=where)
    return splice.replace(text, root, spots[-1], new)


def _drop(text: str, root: yaml.Node, spots: list[Spot]) -> str:
    holder = spots[-1].holder
    if len(holder.value) > 1:
        return splice.drop(text, spots[-1])
    empty: Any = {} if isinstance(holder, yaml.MappingNode) else ()
    return splice.replace(text, root, spots[-2], empty) if len(spots) > 1 else splice.empty_root(text, root)


def _nested(path: Path, value: Any) -> Any:
    for step in reversed(path):
        value = (value,) if isinstance(step, int) else {step: value}
    return value


def find(data: Any, steps: Sequence[str]) -> Path | None:
    """The path where a config says a value: nested, or as one key with dots, with dashes or underscores."""
    if not steps:
        return ()
    if not isinstance(data, Mapping):
        return None
    for end in range(1, len(steps) + 1):
        wanted = ".".join(steps[:end])
        for key in data:
            if str(key).replace("-", "_") == wanted:
                rest = find(data[key], steps[end:])
                if rest is not None:
                    return (key, *rest)
    return None
