"""Arrays of a shell script, ``ARGS=(…)`` and ``ARGS+=(…)``, in the place of ``"${ARGS[@]}"``.

Only those that the script sets in its plain course: what stands in a condition, a loop, a function or behind ``&&``
may not be run, so that an array which is set there too stays what only the shell knows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from dsv4_launch.convert.read.shell_text import read_command
from dsv4_launch.convert.read.words import Word
from dsv4_launch.dataclass import dataclass

_MOST = 100
_LONGEST = 20_000
_SET = re.compile(r"(?<![\w$}])([A-Za-z_]\w{0,80})(\+?)=\(")
_SPREAD = re.compile(r"\$\{(\w{1,80})\[[@*]\]\}")
_BLOCKS = re.compile(
    r"(?m)^[ \t]*(?P<opens>(?:if|for|while|until|case|select)\b|(?:function[ \t]+)?[\w-]{1,80}[ \t]*\(\)[ \t]*\{)"
    r"|(?:^|[;\n])[ \t]*(?P<closes>(?:fi|done|esac)\b|\})"
)


@dataclass(frozen=True, slots=True)
class ArraySet:
    """One assignment: where, to what, whether it adds, and its words; None where it may not run, or cannot be read."""

    at: int
    name: str
    adds: bool
    words: tuple[Word, ...] | None


def array_sets(text: str, known: Mapping[str, str]) -> tuple[ArraySet, ...]:
    """Every assignment of an array in a text, in its order, at most a hundred."""
    found: list[ArraySet] = []
    blocks = deque((block.start(), 1 if block["opens"] else -1) for block in _BLOCKS.finditer(text))
    depth = 0
    for match in _SET.finditer(text):
        while blocks and blocks[0][0] < match.start():
            depth = max(0, depth + blocks.popleft()[1])
        plain = depth == 0 and text[max(0, match.start() - 1) : match.start()] in ("", "\n")
        read = read_command(text, match.end(), min(len(text), match.end() + _LONGEST), variables=known, array=True)
        whole = plain and not read.faults and text.startswith(")", read.end)
        found.append(ArraySet(match.start(), match[1], bool(match[2]), read.words if whole else None))
        if len(found) >= _MOST:
            break
    return tuple(found)


def spread(words: Sequence[Word], sets: Iterable[ArraySet], before: int) -> tuple[Word, ...]:
    """The words with those of the arrays that are known at an offset in the place of the arrays."""
    arrays: dict[str, tuple[Word, ...] | None] = {}
    for one in sets:
        if one.at >= before:
            break
        had = arrays.get(one.name, ()) if one.adds else ()
        arrays[one.name] = None if one.words is None or had is None else (*had, *one.words)
    result: list[Word] = []
    for word in words:
        named = _SPREAD.fullmatch(word.text) if word.opaque else None
        known = arrays.get(named[1]) if named else None
        result += [word] if known is None else known
    return tuple(result)
