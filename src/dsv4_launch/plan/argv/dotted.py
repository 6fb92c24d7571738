"""What vLLM does to its words before argparse sees them: dashes for underscores, ``-O3``, and dotted options merged.

Source: https://github.com/vllm-project/vllm/blob/v0.20.0/vllm/utils/argparse_utils.py, class FlexibleArgumentParser,
method parse_args; the same through 0.33.0. Every word keeps the indices of the words that it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dsv4_launch.catalog.flag_values import human_int
from dsv4_launch.dataclass import dataclass

_LEVELS = {"0", "1", "2", "3"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One word for argparse, and where it came from."""

    text: str
    at: tuple[int, ...]


class Unfinished(Exception):
    """A dotted option without a value: vLLM stops with an IndexError. ``at`` is the index of its word."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def pieces(words: Sequence[str]) -> tuple[list[Piece], tuple[str, ...]]:
    """The words as argparse gets them, dotted options at the end as JSON; and the names that were given twice.

    Raises Unfinished when a dotted option is the last word and has no value.
    """
    return _merge(_normalised(words))


def _normalised(words: Sequence[str]) -> list[Piece]:
    found: list[Piece] = []
    for n, word in enumerate(words):
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            found.append(Piece(_dashes(name) + equals + value, (n,)))
        elif word.startswith("-O") and word != "-O":
            level = word[3:] if word[2] == "=" else word[2:]
            found += [Piece("--optimization-level", (n,)), Piece(level, (n,))]
        elif word == "-O" and n + 1 < len(words) and words[n + 1] in _LEVELS:
            found.append(Piece("--optimization-level", (n,)))
        else:
            found.append(Piece(word, (n,)))
    return found


def _dashes(name: str) -> str:
    """Dashes for underscores up to the first dot; the keys behind it are names of fields."""
    head, dot, keys = name[2:].partition(".")
    return f"--{head.replace('_', '-')}{dot}{keys}"


def _merge(found: list[Piece]) -> tuple[list[Piece], tuple[str, ...]]:
    kept: list[Piece] = []
    tables: dict[str, dict[str, Any]] = {}
    origins: dict[str, tuple[int, ...]] = {}
    seen: set[str] = set()
    twice: dict[str, None] = {}
    skip = False
    for n, piece in enumerate(found):
        if skip:
            skip = False
            continue
        name, equals, value = piece.text.partition("=")
        if piece.text.startswith("--") and "." not in piece.text:
            if name in seen:
                twice[name] = None
            seen.add(name)
        if not piece.text.startswith("-") or "." not in piece.text or (equals and "." not in name):
            kept.append(piece)
            continue
        at = piece.at
        if not equals:
            if n + 1 == len(found):
                raise Unfinished(piece.at[0])
            value, skip = found[n + 1].text, True
            at += found[n + 1].at
        if name.endswith("+"):
            name, value = name[:-1], json.dumps(value.split(","))
        option, *keys = name.split(".")
        for key in _update(tables.setdefault(option, {}), _nested(keys, _meant(value))):
            twice[f"{option}.{key}"] = None
        origins[option] = origins.get(option, ()) + at
    for option, table in tables.items():
        kept += [Piece(option, origins[option]), Piece(json.dumps(table), origins[option])]
    return kept, tuple(twice)


def _meant(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        number = human_int(text)
        return text if number is None else number


def _nested(keys: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _update(table: dict[str, Any], more: dict[str, Any]) -> list[str]:
    """Merge tables into tables and lists onto lists; gives the keys whose value was replaced."""
    replaced: list[str] = []
    for key, value in more.items():
        old = table.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            replaced += [f"{key}.{inner}" for inner in _update(old, value)]
        elif isinstance(value, list) and isinstance(old, list):
            table[key] = old + value
        else:
            if key in table:
                replaced.append(key)
            table[key] = value
    return replaced
