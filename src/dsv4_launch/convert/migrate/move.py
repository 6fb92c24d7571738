"""One setting of a config moved: to another name, to other values, or away; comments stay with what they are about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dsv4_launch.config import splice
from dsv4_launch.config.edit import REMOVED, edit, find
from dsv4_launch.config.yaml_text import Path, parse
from dsv4_launch.convert.migrate.places import Place

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*\S")  # on a line that holds at most a key
# In a table of one setting whose value a migration takes: no text of ours there has a blank and a # in it.
_INSIDE = re.compile(r"(?:^|(?<=[\s,{]))#.*\S")


def place_of(target: str, place: Place) -> Path:
    """The path that a target means: ``engine.a.b`` and ``env.X`` as they are, ``.x`` beside the setting."""
    if not target.startswith("."):
        return tuple(target.split("."))
    *table, key = place.path
    return (*table, str(key).rpartition(".")[0] + target if "." in str(key) else target[1:])


def move(text: str, file: str, place: Place, new: Mapping[Path, Any]) -> tuple[str, dict[Path, Any]]:
    """The text with a setting taken away and others in its place; what the config says of those already stands.

    Returns the text and what was really set. A new setting beside the old one takes its line.
    """
    data, _ = parse(text, file)
    wanted = {path: value for path, value in new.items() if path == place.path or _unsaid(data, path)}
    if place.path in wanted:
        return edit(text, wanted.items(), file), wanted
    beside = next((path for path in wanted if path[:-1] == place.path[:-1]), None)
    if beside is not None:
        text = _renamed(text, file, place.path, str(beside[-1]))
        return edit(text, wanted.items(), file), wanted
    top = emptied(data, place.path)
    beside = next((path for path in wanted if path[:-1] == top[:-1]), None)
    if beside is not None and _node(text, file, top).value.flow_style:
        text = _renamed(_opened(text, file, top), file, top, str(beside[-1]))
        return edit(text, wanted.items(), file), wanted
    comment = _comment(text, file, place.path)
    text = edit(_lifted(text, file, top, place.path), [*wanted.items(), (top, REMOVED)], file)
    if comment and len(wanted) == 1:
        text = _with_comment(text, file, next(iter(wanted)), comment)
    return text, wanted


def _unsaid(data: Any, path: Path) -> bool:
    found = find(data, [step for key in path for step in str(key).split(".")])
    for key in found or ():
        data = data[key]
    return found is None or data is None


def emptied(data: Any, path: Path) -> Path:
    """The path to remove: no empty table is left behind."""
    while len(path) > 1:
        holder = data
        for key in path[:-1]:
            holder = holder[key]
        if len(holder) > 1:
            break
        path = path[:-1]
    return path


def _node(text: str, file: str, path: Path) -> splice.Spot:
    node: Any = splice.compose(text, f"{file}:1")
    for key in path:
        n = splice.position(node, key)
        assert n is not None  # the path came from this text
        spot = splice.Spot(node, n)
        node = spot.value
    return spot


def _renamed(text: str, file: str, path: Path, key: str) -> str:
    mark = _node(text, file, path).key
    return text[: mark.start_mark.index] + key + text[mark.end_mark.index :]


def _comment(text: str, file: str, path: Path) -> str:
    """The comment behind a value on its line."""
    spot = _node(text, file, path)
    if spot.holder.flow_style:
        return ""
    rest = text[spot.value.end_mark.index :].split("\n", 1)[0].strip()
    return rest if rest.startswith("#") else ""


def _lifted(text: str, file: str, top: Path, path: Path) -> str:
    """The text with the comments between a table and its only setting above the table: both are to go."""
    first, last = _node(text, file, top), _node(text, file, path)
    if last.holder.flow_style or first.key is None or first.key is last.key:
        return text
    start, end = (text.rfind("\n", 0, spot.start) + 1 for spot in (first, last))
    margin = text[start : first.start]
    comments = [found[0] for line in text[start:end].splitlines() if (found := _COMMENT.search(line))]
    newline = "\r\n" if "\r\n" in text else "\n"
    return text[:start] + "".join(f"{margin}{comment}{newline}" for comment in comments) + text[start:]


def _opened(text: str, file: str, top: Path) -> str:
    """The text with the comments inside a table in braces above it: the braces are to go."""
    spot = _node(text, file, top)
    inside = text[spot.value.start_mark.index : spot.value.end_mark.index]
    found = [match[0] for line in inside.splitlines() if (match := _INSIDE.search(line))]
    if spot.holder.flow_style or not found:
        return text
    start = text.rfind("\n", 0, spot.start) + 1
    newline = "\r\n" if "\r\n" in text else "\n"
    margin = text[start : spot.start]
    return text[:start] + "".join(f"{margin}{comment}{newline}" for comment in found) + text[start:]


def _with_comment(text: str, file: str, path: Path, comment: str) -> str:
    spot = _node(text, file, path)
    end = spot.value.end_mark.index
    if spot.holder.flow_style or text[end : end + 1] not in ("\n", "\r", ""):
        return text
    return f"{text[:end]}  {comment}{text[end:]}"
