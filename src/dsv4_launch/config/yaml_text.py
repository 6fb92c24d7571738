"""YAML text as plain data, with the line of every value; every way a text can be broken is one clear error."""

from __future__ import annotations

import re
from typing import Any

import yaml

from dsv4_launch.errors import InputError, Problem

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
_HARMLESS = 5_000

Path = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]{1,3})?")
_TAG = "tag:yaml.org,2002:"


def parse(text: str | bytes, file: str) -> tuple[dict[str, Any], dict[Path, int]]:
    """YAML text as plain data and the line of every value. Raises InputError."""
    root = _compose(_decode(text, file), file)
    lines: dict[Path, int] = {}
    problems: list[Problem] = []
    data = _build(root, (), lines, problems, set(), file)
    if problems:
        raise InputError(*dict.fromkeys(problems))
    return data, lines


def _decode(text: str | bytes, file: str) -> str:
    if len(text) > MAX_BYTES:
        raise InputError(
            f"The config is larger than {MAX_BYTES:,} bytes; a launch config has a few thousand.",
            where=file,
            fix="Is this the right file?",
        )
    if isinstance(text, bytes):
        raw = text
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise InputError(
                f"The config is not UTF-8 text: byte {error.start} cannot be read.",
                where=f"{file}:{line}",
                fix="Save the file as UTF-8.",
            ) from None
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError("The text is not UTF-8.", where=file, fix="Write it as UTF-8.")
    if not text.strip():
        raise InputError(
            "The config is empty.", where=file, fix="`dsv4 show --builtin flash-b200` prints one to start from."
        )
    return text


def _refuse_depth(text: str, file: str) -> None:
    """libyaml composes recursively, in C: a text nested deeply enough would end the process, not raise.

    Its events come one by one. A text below the limit cannot be nested deeply enough; most configs are.
    """
    if len(text) < _HARMLESS:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise InputError(f"The config is nested more than {MAX_DEPTH} levels deep.", where=f"{file}:{line}")


def _compose(text: str, file: str) -> yaml.MappingNode:
    try:
        _refuse_depth(text, file)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(
            _yaml_says(text, line, error), where=f"{file}:{line}", fix=_yaml_fix(text, line, error)
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"The config is not YAML: {_first_line(error)}", where=file) from None
    if not isinstance(node, yaml.MappingNode):
        raise InputError(
            "A config is a table of `key: value` lines; this is something else.",
            where=f"{file}:{node.start_mark.line + 1 if node else 1}",
            fix="`dsv4 schema` prints what a config may hold.",
        )
    return node


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _tab_indents(text: str, line: int) -> bool:
    lines = text.splitlines()
    return any(
        "\t" in lines[n][: len(lines[n]) - len(lines[n].lstrip())] for n in (line - 1, line - 2) if 0 <= n < len(lines)
    )


def _yaml_says(text: str, line: int, error: yaml.MarkedYAMLError) -> str:
    if _tab_indents(text, line):
        return "The line is indented with a tab; YAML allows spaces only."
    what = error.problem or error.context or "it cannot be read"
    if "single document" in f"{error.context}{error.problem}" or "but found another document" in what:
        return "The file holds more than one YAML document; a config is one."
    return f"The config is not YAML: {what}."


def _yaml_fix(text: str, line: int, error: yaml.MarkedYAMLError) -> str:
    if _tab_indents(text, line):
        return "Replace the tab by spaces."
    if "another document" in f"{error.problem}":
        return "Put each config in a file of its own."
    return ""


def _build(node: Any, path: Path, lines: dict[Path, int], problems: list[Problem], seen: set[int], file: str) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    where = f"{file}:{line}"
    # The same node again is an alias. Every node of the document is kept alive by its root, so an id is not used twice.
    again = id(node) in seen
    seen.add(id(node))
    if again:
        message = "YAML anchors and aliases are not used in a config: one file says it all, in full."
        if not any(known.message == message for known in problems):  # a bomb has thousands; one says it
            problems.append(Problem("input", message, where, "Write the values out."))
        return None
    if len(path) >= MAX_DEPTH and not isinstance(node, yaml.ScalarNode):
        problems.append(Problem("input", f"The config is nested more than {MAX_DEPTH} levels deep.", where))
        return None
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, where, problems)
    if isinstance(node, yaml.SequenceNode):
        return tuple(_build(item, (*path, n), lines, problems, seen, file) for n, item in enumerate(node.value))
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key_line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(Problem("input", "A key must be a plain word.", f"{file}:{key_line}"))
            continue
        key = str(key_node.value)
        if key in data:
            name, first = ".".join(map(str, (*path, key))), lines[(*path, key)]
            message = f"The key {name} stands twice; the first is on line {first}."
            problems.append(Problem("input", message, f"{file}:{key_line}", "Keep one of them."))
            continue
        lines[(*path, key)] = key_line
        data[key] = _build(value_node, (*path, key), lines, problems, seen, file)
    return data


def _scalar(node: yaml.ScalarNode, where: str, problems: list[Problem]) -> Any:
    """Numbers in plain decimal form only: YAML's octal, sexagesimal and 1_000 surprise people, so they stay text."""
    text, tag = node.value, node.tag.removeprefix(_TAG)
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in {"true", "yes", "on"}
    if tag == "int" and _INT.fullmatch(text):
        return int(text)
    if tag == "float" and _FLOAT.fullmatch(text):
        return float(text)
    if tag in {"str", "int", "float", "timestamp", "value", "merge"}:
        return text
    problems.append(
        Problem("input", f"The YAML tag {node.tag} is not allowed in a config.", where, "Write a plain value.")
    )
    return None
