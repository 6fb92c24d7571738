"""The grammar of argparse, imitated: unambiguous prefixes, ``--name=value``, counts of values, one positional model.

Source: https://docs.python.org/3/library/argparse.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from dsv4_launch.catalog.flag_table import Flag, FlagTable
from dsv4_launch.catalog.flag_values import READ_AS_JSON, check_value
from dsv4_launch.catalog.serve_checks import built_if
from dsv4_launch.plan.argv.dotted import Piece
from dsv4_launch.plan.argv.parsed import Given, Parsed, Refusal
from dsv4_launch.values import nearest

_NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
_MOST_HINTS = 10


def read_pieces(found: Sequence[Piece], table: FlagTable, twice: tuple[str, ...]) -> Parsed:
    """What the release's parser makes of the words; ``twice`` are the options that were given more than once."""
    return _Reader(table, found).read(twice)


class _Reader:
    """One pass over the pieces; what argparse's ``_parse_known_args`` does."""

    def __init__(self, table: FlagTable, found: Sequence[Piece]) -> None:
        self.table = table
        self.pieces = found
        self.given: dict[str, Given] = {}
        self.model: str | None = None
        self.refusals: list[Refusal] = []
        # What no option is spelled like, by the word: a heap of the same words is looked up once.
        self.beginnings: dict[str, list[tuple[Flag | None, str, str | None]]] = {}
        end = next((n for n, p in enumerate(found) if p.text == "--"), len(found))
        self.options = [self._option(p) if n < end else None for n, p in enumerate(found)]

    def read(self, twice: tuple[str, ...]) -> Parsed:
        n = 0
        while n < len(self.pieces):
            n = self._positional(n) if self.options[n] is None else self._optional(n)
        return Parsed(self.model, self.given, tuple(r for r in self.refusals if not self._unbuilt(r)), twice)

    def _unbuilt(self, refusal: Refusal) -> bool:
        """True for what only a config class would refuse that vLLM does not build here, such as LoRA's."""
        flag = self.table.by_flag.get(refusal.option)
        if refusal.code != "field-refused" or flag is None or flag.lands_in is None:
            return False
        switch = built_if().get(flag.lands_in.name.partition(".")[0])
        return switch is not None and not (switch in self.given and self.given[switch].positive)

    def _option(self, piece: Piece) -> tuple[Flag | None, str, str | None] | None:
        """The option that a word names with its explicit value; None for a value; (None, …) for an unknown option."""
        text = piece.text
        if len(text) < 2 or text[0] != "-" or text == "--":
            return None
        if text in self.table.by_flag:
            return self.table.by_flag[text], text, None
        name, equals, value = text.partition("=")
        if equals and name in self.table.by_flag:
            return self.table.by_flag[name], name, value
        matches = self._abbreviated(text)
        if len(matches) == 1:
            return matches[0]
        if not matches and (_NEGATIVE_NUMBER.fullmatch(text) or " " in text):
            return None
        return None, text, ", ".join(spelling for _, spelling, _ in matches) if matches else None

    def _abbreviated(self, text: str) -> list[tuple[Flag | None, str, str | None]]:
        if text not in self.beginnings:
            self.beginnings[text] = list(self._beginning_with(text))
        return self.beginnings[text]

    def _beginning_with(self, text: str) -> Iterator[tuple[Flag | None, str, str | None]]:
        """The options that a word may be the beginning of, each with its explicit value."""
        name, equals, value = text.partition("=")
        explicit = value if equals else None
        # By their spellings: an option itself is made only when it is asked for.
        for spelling in self.table.by_flag:
            if text.startswith("--"):
                if spelling.startswith(name):
                    yield self.table.by_flag[spelling], spelling, explicit
            elif spelling == text[:2]:
                yield self.table.by_flag[spelling], spelling, text[2:]
            elif spelling.startswith(text):
                yield self.table.by_flag[spelling], spelling, None

    def _positional(self, n: int) -> int:
        piece = self.pieces[n]
        if piece.text == "--":
            # argparse takes it with the model, before or behind; alone it belongs to nothing.
            beside = n > 0 and self.model is not None and self.pieces[n - 1].text == self.model
            if self.model is not None and not beside:
                self.refusals.append(Refusal("unrecognized", "-- belongs to nothing here.", at=piece.at))
            return n + 1
        if self.model is None:
            self.model = piece.text
        else:
            message = f"{_short(piece.text)} belongs to no option; vLLM stops with `unrecognized arguments`."
            self.refusals.append(Refusal("unrecognized", message, at=piece.at))
        return n + 1

    def _optional(self, n: int) -> int:
        entry, piece = self.options[n], self.pieces[n]
        assert entry is not None
        flag, spelling, explicit = entry
        if flag is None:
            # The word behind it is its value, most likely: one refusal says it all.
            taken = 1 + (n + 1 < len(self.pieces) and self._is_value(n + 1) and "=" not in piece.text)
            self._unknown(piece, tuple(i for p in self.pieces[n : n + taken] for i in p.at), explicit)
            return n + taken
        if explicit is not None:
            if _is_switch(flag):
                message = f"{spelling} takes no value; {_short(explicit)} is refused."
                self.refusals.append(Refusal("value-not-taken", message, spelling, piece.at))
            else:
                self._give(flag, spelling, (explicit,), piece.at)
            return n + 1
        behind = 0
        while n + 1 + behind < len(self.pieces) and self._is_value(n + 1 + behind):
            behind += 1
        count = _takes(flag, behind)
        if count is None:
            wanted = "at least one" if flag.nargs == "+" else "one" if flag.nargs is None else str(flag.nargs)
            message = f"{spelling} has {behind or 'no'} value; it wants {wanted}."
            self.refusals.append(Refusal("value-missing", message, spelling, piece.at))
            return n + 1
        values = self.pieces[n + 1 : n + 1 + count]
        self._give(flag, spelling, tuple(v.text for v in values), piece.at + tuple(i for v in values for i in v.at))
        return n + 1 + count

    def _is_value(self, n: int) -> bool:
        return self.options[n] is None and self.pieces[n].text != "--"

    def _give(self, flag: Flag, spelling: str, values: tuple[str, ...], at: tuple[int, ...]) -> None:
        if flag.kind == "append" and flag.dest in self.given:
            values = self.given[flag.dest].values + values
            at = self.given[flag.dest].at + at
        at = tuple(dict.fromkeys(at))
        self.given[flag.dest] = Given(flag, spelling, values, at)
        if not values:
            return
        single = flag.nargs in (None, "?") and flag.kind != "append"
        value = values[0] if single else list(values)
        # Of an option that is given twice only the last value reaches its config field.
        self.refusals = [r for r in self.refusals if r.code != "field-refused" or r.option not in flag.flags]
        reason = check_value(flag, value)
        if reason:
            code = "field-refused" if _is_late(flag, value) else "value-refused"
            self.refusals.append(Refusal(code, f"{spelling}: {reason}", spelling, at))

    def _unknown(self, piece: Piece, at: tuple[int, ...], matches: str | None) -> None:
        name = piece.text.partition("=")[0]
        if matches:
            message = f"{name} could be any of {matches}."
            self.refusals.append(Refusal("ambiguous", message, name, at, "Write the option in full."))
            return
        # Telling what was meant costs a look at every spelling: for a few, not for a heap of them.
        few = len(self.refusals) < _MOST_HINTS and len(name) < 100
        meant = nearest(name, self.table.by_flag, "--", alike=0.7) if few else None
        fix = f"Did you mean {meant}?" if meant else ""
        message = f"vLLM {self.table.version} has no option {name}."
        self.refusals.append(Refusal("unknown-option", message, name, at, fix))


def _is_late(flag: Flag, value: Any) -> bool:
    """True when the parser takes what only the config behind the option refuses; vLLM stops a little later then."""
    if flag.dest in READ_AS_JSON:
        return check_value(replace(flag, config=None), value) is None
    return flag.lands_in is not None and check_value(replace(flag, lands_in=None), value) is None


def _is_switch(flag: Flag) -> bool:
    return flag.kind in ("bool", "store_true", "count") or flag.nargs == 0


def _takes(flag: Flag, available: int) -> int | None:
    """How many of the available words the option takes; None when it cannot be satisfied."""
    if _is_switch(flag):
        return 0
    match flag.nargs:
        case None:
            return 1 if available else None
        case "?":
            return min(available, 1)
        case "+":
            return available or None
        case int(count):
            return count if available >= count else None
    return available


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
