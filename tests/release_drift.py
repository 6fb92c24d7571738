"""What each vLLM release no longer takes of what the one before it took, computed from the flag tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dsv4_launch.catalog.flags import FieldType, Flag, FlagTable, Variable, flag_table, versions


@dataclass(frozen=True)
class Loss:
    """Something gone in ``release``: an option, field or variable by name, one of its words, or a number that it took.

    ``kind`` is gone, word, narrower or bounds.
    """

    release: str
    before: str
    kind: str
    name: str
    word: Any = None


def losses() -> list[Loss]:
    """Every loss between two releases that follow each other."""
    order = versions()
    return [
        Loss(new, old, kind, name, word)
        for old, new in pairwise(order)
        for kind, name, word in _between(flag_table(old), flag_table(new))
    ]


def _between(old: FlagTable, new: FlagTable) -> Iterator[tuple[str, str, Any]]:
    for dest, flag in old.by_dest.items():
        yield from _flag(dest, flag, new.by_dest.get(dest))
    for cls, fields in old.classes.items():
        for key, field in fields.items():
            name, now = f"{cls}.{key}", new.nested(cls).get(key)
            if now is None:
                yield "gone", name, None
                continue
            yield from _words(name, field.type, now.type)
            if field.bounds != now.bounds:
                yield "bounds", name, None
            if set(field.loose) - set(now.loose):
                yield "narrower", name, None
    for variable, was in old.env.items():
        yield from _variable(variable, was, new.env.get(variable))


def _flag(dest: str, flag: Flag, now: Flag | None) -> Iterator[tuple[str, str, Any]]:
    if now is None:
        yield "gone", dest, None
        return
    if (flag.kind, flag.nargs) != (now.kind, now.nargs) or set(flag.flags) - set(now.flags):
        yield "narrower", dest, None
    if now.choices is not None and flag.choices is None:
        yield "narrower", dest, None
    took, takes = (set(f.choices or ()) | set(f.known) for f in (flag, now))
    for word in sorted({str(w) for w in took} - {str(w) for w in takes}) if takes else ():
        yield "word", dest, word
    old_place, place = flag.lands_in, now.lands_in
    if (old_place.bounds if old_place else {}) != (place.bounds if place else {}):
        yield "bounds", dest, None
    if old_place and place:
        yield from _words(dest, old_place.type, place.type)


def _words(name: str, old: FieldType, new: FieldType) -> Iterator[tuple[str, str, Any]]:
    opened = "str" in _parts(new) or "any" in _parts(new)
    if not opened or _literals(new):
        for word in sorted(_literals(old) - _literals(new)):
            yield "word", name, word
    if _parts(old) - _parts(new) - ({"lit"} if opened else set()):
        yield "narrower", name, None


def _parts(kind: FieldType) -> set[str]:
    """The kinds that a type joins: ``int | None | a word``."""
    if isinstance(kind, str):
        return {kind}
    if kind[0] == "|":
        return set().union(*(_parts(part) for part in kind[1:]))
    return {str(kind[0])}


def _literals(kind: FieldType) -> set[str]:
    if isinstance(kind, str):
        return set()
    if kind[0] == "lit":
        return {str(word) for word in kind[1:]}
    return set().union(set(), *(_literals(part) for part in kind[1:] if isinstance(part, tuple)))


def _variable(name: str, was: Variable, now: Variable | None) -> Iterator[tuple[str, str, Any]]:
    if now is None:
        yield "gone", f"env.{name}", None
        return
    old, new = (set(re.findall(r"'([^']*)'", v.type)) if "Literal" in v.type else set() for v in (was, now))
    for word in sorted(old - new) if new else ():
        yield "word", f"env.{name}", word
