"""A config in the making: values by path, where each was read, and what is to be said about the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from dsv4_launch.convert.read.words import Span
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a reader of the config should know. ``lost``: what the text said and no config can carry."""

    kind: Literal["lost", "changed", "assumed"]
    text: str
    span: Span = (0, 0)


@dataclass(slots=True)
class Draft:
    """Plain data for a config file. ``at``: dotted path to the place in the text."""

    data: dict[str, Any] = field(default_factory=dict)
    at: dict[str, Span] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def put(self, table: str, name: str, value: Any, span: Span) -> None:
        """Set one value; a table of "" is the top."""
        target = self.data.setdefault(table, {}) if table else self.data
        target[name] = value
        self.at[f"{table}.{name}" if table else name] = span

    def get(self, table: str, name: str, default: Any = None) -> Any:
        target = self.data.get(table, {}) if table else self.data
        return target.get(name, default) if isinstance(target, Mapping) else default

    def append(self, table: str, name: str, value: Any, span: Span) -> None:
        """Add to a list."""
        self.data.setdefault(table, {}).setdefault(name, []).append(value)
        self.at.setdefault(f"{table}.{name}", span)

    def say(self, kind: Literal["lost", "changed", "assumed"], text: str, span: Span = (0, 0)) -> None:
        self.notes.append(Note(kind, text, span))
