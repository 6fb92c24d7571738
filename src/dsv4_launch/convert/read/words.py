"""Words of a pasted text with their places, and what is wrong with how they are written."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from dsv4_launch.dataclass import dataclass

Span = tuple[int, int]
# How people leave words out of a command that they show.
ELIDED = frozenset({"...", "…", "[...]", "<...>"})


@dataclass(frozen=True, slots=True)
class Word:
    """One word as the program gets it. ``start`` and ``end`` are offsets in the text that was pasted.

    ``opaque``: it holds what only the shell of its user knows (``$X``, ``$(…)``). ``exact``: where ``text`` itself
    stands in the source, character by character (-1: quotes or escapes lie between).
    """

    text: str
    start: int
    end: int
    opaque: bool = False
    exact: int = -1

    @property
    def span(self) -> Span:
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the text itself; what its code means is said in ``lint.toml``."""

    code: str
    start: int
    end: int
    said: str = ""


class Places:
    """Offsets of a text as line and column, both from 1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def line_column(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, max(offset, 0))
        return line, max(offset, 0) - self._starts[line - 1] + 1


def moved(words: Iterable[Word], offset: int | None, whole: Span) -> tuple[Word, ...]:
    """Words of an inner text at their places in the outer one; all at ``whole`` when there is no common offset."""
    if offset is None:
        return tuple(replace(word, start=whole[0], end=whole[1], exact=-1) for word in words)
    return tuple(
        replace(w, start=w.start + offset, end=w.end + offset, exact=w.exact + offset if w.exact >= 0 else -1)
        for w in words
    )


def moved_faults(faults: Iterable[Fault], offset: int | None, whole: Span) -> tuple[Fault, ...]:
    """Faults of an inner text at their places in the outer one."""
    if offset is None:
        return tuple(replace(fault, start=whole[0], end=whole[1]) for fault in faults)
    return tuple(replace(fault, start=fault.start + offset, end=fault.end + offset) for fault in faults)


def span_of(words: Sequence[Word]) -> Span:
    """From the first word to the last; (0, 0) for none."""
    return (min(w.start for w in words), max(w.end for w in words)) if words else (0, 0)
