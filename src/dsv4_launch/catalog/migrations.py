"""What became of options, fields, words and variables between vLLM releases, and what changes at a border, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import lru_cache
from typing import Any, Literal

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass

Action = Literal["rename", "replace", "drop", "refuse", "keep"]

_FILES = ("options_1", "options_2", "env_1", "env_2", "notes")


@dataclass(frozen=True, slots=True)
class Migration:
    """What to do with a setting at a border between releases.

    ``borders`` the releases that are entered from an older one, or (``down``) left for an older one
    ``names``   options by destination, fields as ``Class.field``, variables as ``env.NAME``
    ``values``  the words it is about; empty: any value
    ``to``      where a renamed setting goes: a config path, or ``.name`` beside the old one
    ``set``     what takes the place of a replaced setting, by the same kind of path
    ``value``   the new word in the same place; ``back``: going down undoes it,
                which a rename does unless it is False
    """

    borders: tuple[str, ...]
    down: bool
    names: tuple[str, ...]
    action: Action
    why: str
    source: str
    values: tuple[Any, ...] = ()
    to: str = ""
    set: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    convert: str = ""
    back: bool | None = None
    only_with: tuple[str, ...] = ()
    when: Mapping[str, Any] = field(default_factory=dict)

    def is_about(self, name: str, value: Any) -> bool:
        """True when this says what becomes of the setting with this value."""
        return name in self.names and (not self.values or any(same_word(value, word) for word in self.values))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a release does differently from ``since`` on with a config that it takes unchanged."""

    since: str
    up: str
    down: str
    source: str
    only: tuple[str, ...]
    unless: tuple[str, ...]
    when: Mapping[str, Any]


@lru_cache
def migrations() -> tuple[Migration, ...]:
    """Every migration, in the order of the data: of those that fit a setting, the first decides."""
    rows = [
        (row, kind) for name in _FILES for kind in ("up", "down") for row in table(f"migrations/{name}").get(kind, ())
    ]
    return tuple(
        Migration(
            borders=_listed(row["before" if kind == "down" else "since"]),
            down=kind == "down",
            names=tuple(row["names"]),
            action=row["action"],
            why=row["why"],
            source=row["source"],
            values=tuple(row.get("values", ())),
            to=row.get("to", ""),
            set=row.get("set", {}),
            value=row.get("value"),
            convert=row.get("convert", ""),
            back=row.get("back"),
            only_with=tuple(row.get("with", ())),
            when=row.get("when", {}),
        )
        for row, kind in rows
    )


@lru_cache
def behaviours() -> tuple[Behaviour, ...]:
    """Every change of behaviour, oldest first."""
    return tuple(
        Behaviour(
            row["since"],
            row["up"],
            row["down"],
            row["source"],
            tuple(row.get("only", ())),
            tuple(row.get("unless", ())),
            row.get("when", {}),
        )
        for row in table("migrations/notes")["note"]
    )


def _listed(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def same_word(value: Any, word: Any) -> bool:
    """True when vLLM would read both as the same word: case, dashes and a number's quotes do not matter."""
    return _word(value) == _word(word)


def _word(value: Any) -> str:
    return str(value).lower().replace("-", "_")


def _inverse(value: Any) -> Any:
    number = 1 / float(value)
    return int(number) if number.is_integer() else number


CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "int": int,
    "inverse": _inverse,
    "comma-list": lambda value: tuple(str(value).split(",")),
    "underscores": lambda value: str(value).replace("-", "_"),
}
BACK: Mapping[str, Callable[[Any], Any]] = {
    **CONVERSIONS,
    "int": str,
    "underscores": lambda v: str(v).replace("_", "-"),
}
