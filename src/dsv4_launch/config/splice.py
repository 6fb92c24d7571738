"""Single cuts in YAML text, found by the marks of PyYAML's nodes: replace, add or drop one entry of a table or list.

What follows a value on its line (a comment) and the lines around it are never touched.
"""

from __future__ import annotations

from typing import Any

import yaml

from dsv4_launch.config.write import below, entry_lines, flow, flow_entry, inline
from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import InputError

Step = str | int


@dataclass(frozen=True, slots=True)
class Spot:
    """The place of one value: the table or list that holds it, and its position there."""

    holder: Any
    n: int

    @property
    def key(self) -> Any:
        """The key's node, or None in a list."""
        return self.holder.value[self.n][0] if isinstance(self.holder, yaml.MappingNode) else None

    @property
    def value(self) -> Any:
        """The value's node."""
        item = self.holder.value[self.n]
        return item[1] if isinstance(self.holder, yaml.MappingNode) else item

    @property
    def start(self) -> int:
        """Where the entry starts; of a list item the dash is before it."""
        return int((self.key or self.value).start_mark.index)


def compose(text: str, where: str) -> yaml.Node:
    """The nodes of a text that `parse` accepted. Raises InputError for ``? key``, which is not edited."""
    # The Python loader: its marks count characters, also after a byte order mark.
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    assert root is not None  # parse has seen a table
    _refuse_explicit_keys(text, root, where)
    if not text.endswith("\n") and _is_block_text(_leaf(root)):
        raise InputError(
            "The file ends in a block text without an end of line.", where=where, fix="End it with an empty line."
        )
    return root


def _refuse_explicit_keys(text: str, node: Any, where: str) -> None:
    for n in range(0 if isinstance(node, yaml.ScalarNode) else len(node.value)):
        spot = Spot(node, n)
        if spot.key is not None and text[_line_start(text, spot.start) : spot.start].rstrip().endswith("?"):
            file = where.rpartition(":")[0]
            raise InputError(
                "Keys written `? key` are not edited.",
                where=f"{file}:{spot.key.start_mark.line + 1}",
                fix=f"Write `{spot.key.value}: …`.",
            )
        _refuse_explicit_keys(text, spot.value, where)


def position(node: Any, step: Step) -> int | None:
    """The position of a key or index in a node, or None."""
    if isinstance(node, yaml.MappingNode):
        return next((n for n, (key, _) in enumerate(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode):
        return step if isinstance(step, int) and step < len(node.value) else None
    return None


def replace(text: str, root: Any, spot: Spot, value: Any) -> str:
    """The text with another value at a spot."""
    node, start, end = spot.value, spot.value.start_mark.index, _end(spot.value)
    style = node.style if isinstance(node, yaml.ScalarNode) else None
    if spot.holder.flow_style:
        if start == end and spot.key is not None and text[spot.key.end_mark.index : start].strip() in {"", ":"}:
            return f"{text[: spot.key.end_mark.index]}: {flow(value)}{text[start:]}"
        return text[:start] + _space(text, start) + flow(value, style) + text[end:]
    head = _head_end(text, spot)
    after, line = _after(text, node), _line_start(text, start)
    in_block = not isinstance(node, yaml.ScalarNode) and not node.flow_style
    indent = spot.holder.start_mark.column + _unit(root)
    if spot.key is not None and below(value):
        kept = text[head:line] if in_block else text[min(end, after) : after].rstrip("\r\n") + _newline(text)
        return _joined(text, text[:head] + kept, below(value, indent, _unit(root)), text[after:])
    if in_block and line > head:
        return f"{text[:head]} {inline(value)}{text[head:line]}{text[after:]}"
    if _is_block_text(node):
        return text[:start] + inline(value) + _newline(text) + text[after:]
    return text[:start] + _space(text, start) + inline(value, style) + text[end:]


def add(text: str, root: Any, holder: Any, step: Step, value: Any) -> str:
    """The text with one more entry at the end of a table or list."""
    if holder.flow_style:
        entry = flow_entry(step if isinstance(holder, yaml.MappingNode) else None, value)
        if not holder.value:
            at = holder.end_mark.index - 1
            return text[:at] + entry + text[at:]
        end = _entry_end(Spot(holder, len(holder.value) - 1))
        comma = _comma(text, end)
        return f"{text[:end]}, {entry}{text[end:]}" if comma < 0 else f"{text[:comma]}, {entry}{text[comma:]}"
    indent = holder.start_mark.column
    at = _after(text, holder)
    # Comment lines at the table's own depth belong to it.
    least = indent if isinstance(holder, yaml.MappingNode) else indent + 1
    while (line := text[at : _next_line(text, at)]).lstrip(" ").startswith("#"):
        if len(line) - len(line.lstrip(" ")) < least:
            break
        at += len(line)
    key = step if isinstance(holder, yaml.MappingNode) else None
    return _joined(text, text[:at], entry_lines(key, value, indent, _unit(root)), text[at:])


def drop(text: str, spot: Spot) -> str:
    """The text without one entry of a table or list that holds others."""
    if spot.holder.flow_style:
        return _drop_in_flow(text, spot)
    start = spot.start if spot.key is not None else _dash(text, spot)
    line, after = _line_start(text, start), _after(text, spot.value)
    if not text[line:start].strip():
        return text[:line] + text[after:]
    # The first entry of a table or list inside a list item: the next one moves up behind the dash.
    following = Spot(spot.holder, spot.n + 1)
    then = following.start if following.key is not None else _dash(text, following)
    if text[after:then].strip():  # a comment stands between the two
        return text[:start].rstrip(" ") + _newline(text) + text[after:]
    return text[:start] + text[then:]


def _drop_in_flow(text: str, spot: Spot) -> str:
    start, end = spot.start, _entry_end(spot)
    comma = _comma(text, end)
    if comma < 0:
        before = _comma(text, _entry_end(Spot(spot.holder, spot.n - 1)))
        between = text[before + 1 : start]
        return text[:before] + (between if between.strip() else "") + text[end:]
    rest = text[end:comma] + text[comma + 1 :]
    line = _line_start(text, start)
    if not text[line:start].strip() and rest.lstrip(" \t").startswith(("\n", "\r\n")):
        return text[:line] + rest.lstrip(" \t").removeprefix("\r").removeprefix("\n")
    return text[:start] + (rest.lstrip(" ") if comma == end else rest)


def empty_root(text: str, root: Any) -> str:
    """The text of a config whose last key goes."""
    start = root.start_mark.index
    return f"{text[:start]}{{}}{_newline(text)}{text[_after(text, root) :]}"


def _end(node: Any) -> int:
    """Where a node's last character ends; PyYAML's own mark of a block table is behind the comments that follow."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        return int(node.end_mark.index)
    return _entry_end(Spot(node, len(node.value) - 1))


def _entry_end(spot: Spot) -> int:
    return max(_end(spot.value), spot.key.end_mark.index if spot.key is not None else 0)


def _after(text: str, node: Any) -> int:
    """The start of the line that follows a node; a block scalar's mark is there already."""
    end = _end(node)
    return end if _is_block_text(_leaf(node)) else _next_line(text, end)


def _leaf(node: Any) -> Any:
    """The last value in a node that is a scalar or in braces."""
    while not isinstance(node, yaml.ScalarNode) and not node.flow_style:
        node = Spot(node, len(node.value) - 1).value
    return node


def _is_block_text(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")


def _head_end(text: str, spot: Spot) -> int:
    """Behind the colon of a key, or the dash of a list item."""
    if spot.key is None:
        return _dash(text, spot) + 1
    return text.index(":", spot.key.end_mark.index) + 1


def _dash(text: str, spot: Spot) -> int:
    """The dash of an item of a block list."""
    first = spot.holder.start_mark
    if spot.n == 0:
        return int(first.index)
    line = _line_start(text, spot.start)
    while text[line : line + first.column].strip() or text[line + first.column : line + first.column + 1] != "-":
        line = _line_start(text, line - 1)
    return int(line + first.column)


def _comma(text: str, at: int) -> int:
    """The comma behind a flow entry, over spaces and comments; -1 when there is none."""
    while text[at] in " \t\r\n#":
        at = text.index("\n", at) if text[at] == "#" else at + 1
    return at if text[at] == "," else -1


def _unit(root: Any) -> int:
    """The file's own indentation step, two spaces if it shows none."""
    for key, value in root.value:
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            return max(1, int(value.start_mark.column - key.start_mark.column))
    return 2


def _joined(text: str, before: str, lines: list[str], after: str) -> str:
    newline = _newline(text)
    if before and not before.endswith("\n"):  # the file has no end of line at its end
        return before + newline + newline.join(lines)
    return before + "".join(line + newline for line in lines) + after


def _space(text: str, at: int) -> str:
    return "" if at == 0 or text[at - 1] in " \t\r\n[{," else " "


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _next_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
