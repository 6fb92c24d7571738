"""Values as YAML text: on one line where that reads well, else as lines below their key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDE = 2**31 - 1


def config_lines(data: Mapping[str, Any]) -> list[str]:
    """A whole config: its tables stand apart, what is empty is left out."""
    lines: list[str] = []
    for key, value in data.items():
        if value in ({}, [], ()):
            continue
        if isinstance(value, Mapping) and len(value) > 1 and lines:
            lines.append("")
        # Quoted: YAML would read a release of two numbers as a fraction.
        lines += [f'vllm: "{value}"'] if key == "vllm" else entry_lines(key, value, 0, 2)
    return lines


def inline(value: Any, style: str | None = None) -> str:
    """The value behind a key of a block table; ``style`` is the quote that a text shall have."""
    return flow(value) if isinstance(value, Mapping | list | tuple) else _scalar(value, style, in_flow=False)


def flow(value: Any, style: str | None = None) -> str:
    """The value inside ``{}`` or ``[]``."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(flow_entry(key, item) for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return _scalar(value, style, in_flow=True)


def flow_entry(key: str | int | None, value: Any) -> str:
    """``key: value`` of a flow table, or an item of a flow list."""
    return flow(value) if key is None else f"{_scalar(key, None, in_flow=True)}: {flow(value)}"


def below(value: Any, indent: int = 0, unit: int = 2) -> list[str]:
    """The lines below a key of a value that does not stand on the key's line; none when it does."""
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in entry_lines(key, item, indent, unit)]
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        return [line for item in value for line in entry_lines(None, item, indent, unit)]
    return []


def entry_lines(key: str | int | None, value: Any, indent: int, unit: int) -> list[str]:
    """One entry of a block table, or (without a key) one item of a block list."""
    margin = " " * indent
    if key is None:
        return [f"{margin}- {inline(value)}"]
    head = f"{margin}{_scalar(key, None, in_flow=True)}:"
    lines = below(value, indent + unit, unit)
    return [head, *lines] if lines else [f"{head} {inline(value)}"]


def _scalar(value: Any, style: str | None, *, in_flow: bool) -> str:
    import yaml

    if isinstance(value, str) and not value.isprintable():
        style = '"'  # the only form that holds every character on one line
    if isinstance(value, str) and style in ('"', "'"):
        return str(yaml.safe_dump(value, default_style=style, allow_unicode=True, width=_WIDE)).rstrip("\n")
    if in_flow:
        return str(yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=_WIDE))[1:-2]
    return str(yaml.safe_dump({"k": value}, allow_unicode=True, width=_WIDE))[3:-1]
