"""YAML with places, for texts of anybody: depth and size are limited before a parser sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dsv4_launch.convert.read.words import Span, Word
from dsv4_launch.dataclass import dataclass

# libyaml recurses in C and ends the process when a text is nested too deeply.
_DEEPEST = 60
_LARGEST = 400_000
_MOST_NODES = 30_000
_INDICATORS = re.compile(r"^[ \t]*(?:[-?:][ \t]+)+", re.MULTILINE)
_BRACKETS = re.compile(r"[\[\]{}]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One scalar: its text, its place, and whether it was written plain."""

    text: str
    span: Span
    plain: bool
    exact: bool = False

    @property
    def word(self) -> Word:
        return Word(self.text, *self.span, opaque="$" in self.text, exact=self.span[0] if self.exact else -1)


Node = Scalar | list[Any] | dict[str, Any]


def documents(text: str) -> list[Node]:
    """The documents of a YAML stream as far as they can be read; none for what is no YAML or is nested too deeply."""
    if len(text) > _LARGEST or _too_deep(text):
        return []
    import yaml  # most texts are no YAML

    found: list[Node] = []
    try:
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            while loader.check_node() and len(found) < 50:
                node = loader.get_node()
                if node is not None:
                    found.append(_plain(node, [_MOST_NODES], 0, text))
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        pass
    return found


def _too_deep(text: str) -> bool:
    deepest = depth = 0
    for bracket in _BRACKETS.finditer(text):
        depth += 1 if bracket.group() in "[{" else -1
        depth = max(depth, 0)
        deepest = max(deepest, depth)
        if deepest > _DEEPEST:
            return True
    return any(len(line.group().replace("\t", " ").split()) > 8 for line in _INDICATORS.finditer(text)) or any(
        len(line) - len(line.lstrip(" ")) > 4 * _DEEPEST for line in text.split("\n")
    )


def _plain(node: Any, budget: list[int], depth: int, text: str) -> Node:
    budget[0] -= 1
    if budget[0] < 0 or depth > _DEEPEST:
        return Scalar("", (node.start_mark.index, node.start_mark.index), True)
    if node.id == "scalar":
        span = (node.start_mark.index, node.end_mark.index)
        exact = text[span[0] : span[1]] == node.value
        if not exact and text[span[0] + 1 : span[1] - 1] == node.value:
            return Scalar(node.value, (span[0] + 1, span[1] - 1), False, True)
        return Scalar(str(node.value), span, not node.style, exact)
    if node.id == "sequence":
        return [_plain(item, budget, depth + 1, text) for item in node.value]
    table: dict[str, Any] = {}
    for key, value in node.value:
        if key.id != "scalar":
            continue
        if key.value == "<<":
            merged = _plain(value, budget, depth + 1, text)
            for part in merged if isinstance(merged, list) else [merged]:
                if isinstance(part, dict):
                    table = {**part, **table}
            continue
        table[str(key.value)] = _plain(value, budget, depth + 1, text)
        table.setdefault(f"\x00{key.value}", Scalar(str(key.value), (key.start_mark.index, key.end_mark.index), True))
    return table


def entries(node: Any) -> Iterator[tuple[Scalar, Any]]:
    """Keys and values of a table, each key with its place."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if not key.startswith("\x00"):
                yield node[f"\x00{key}"], value


def get(node: Any, *path: str) -> Any:
    """The value at a path of keys; None when it is not there."""
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def scalar(node: Any, *path: str) -> Scalar | None:
    """The scalar at a path of keys."""
    found = get(node, *path)
    return found if isinstance(found, Scalar) else None


def text_of(node: Any, *path: str) -> str:
    """The text of the scalar at a path of keys; "" when there is none."""
    found = scalar(node, *path)
    return found.text if found else ""


def items(node: Any, *path: str) -> list[Any]:
    """The list at a path of keys; a scalar counts as a list of one."""
    found = get(node, *path)
    return found if isinstance(found, list) else [found] if isinstance(found, Scalar) else []


def tables(node: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every table inside, outermost first."""
    if isinstance(node, dict):
        yield node
        for _, value in entries(node):
            yield from tables(value, depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from tables(value, depth + 1)


def is_true(node: Any, *path: str) -> bool:
    """True where a path holds a word that YAML reads as true."""
    return text_of(node, *path).lower() in ("true", "yes", "on")
