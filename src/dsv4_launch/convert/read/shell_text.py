"""POSIX shell words of a pasted command, each with its place, and the faults that pasting leaves in it.

A shell would stop where a line is not continued; people mean one command. So a line that starts with an option belongs
to the command above it, and the fault is reported. Nothing here raises for any text, and time is linear in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from dsv4_launch.convert.read.words import Fault, Word
from dsv4_launch.dataclass import dataclass

MOST_WORDS = 1_000
MOST_PIECES = 100_000  # quoted and plain pieces, blanks, redirections

_BLANK = re.compile(r"[ \t\r\f\v]+")
_PLAIN = re.compile(r"[^\s'\"\\$`;&|<>()“”‘’]+")
_CONTINUED = re.compile(r"\\\r?\n(?:[ \t]*>[ \t]+(?=-))?")
_CONTINUED_BADLY = re.compile(r"\\[ \t]+\r?(?:\n|\Z)")
_REDIRECTED = re.compile(r"\d{0,3}(?:>>|>\||>&|<&|<<<|<<-?|>|<)|&>>?")
_PLACEHOLDER = re.compile(r"<[A-Za-z][\w -]{0,60}>")
_NEXT_OPTION = re.compile(r"(?:[ \t\r]*\n){1,6}[ \t]*(?:>[ \t]+)?(?=--?[A-Za-z])")
_BARE_LINE = re.compile(r"[ \t]*[\w.:@/-]{3,300}[ \t\r]*\\?")
_DOUBLE = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_IN_DOUBLE = re.compile(r"\\([$`\"\\])|\\\n|(\$)|(`[^`]*`?)")
_NAME = re.compile(r"\$(?:([A-Za-z_]\w*)|[0-9@*#?$!-])")
_BRACED = re.compile(r"\$\{([A-Za-z_]\w*)(?:(:?-)([^${}\"'\s]*))?\}")
_ANSI = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_BRACES = re.compile(r"[{}]")
_PARENS = re.compile(r"[()]")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_CLOSING = {"“": "”", "”": "”", "‘": "’", "’": "’"}
_LONGEST_CURLY = 2_000
_DASHES = str.maketrans({"–": "--", "—": "--"})


@dataclass(frozen=True, slots=True)
class Simple:
    """One command: its words without redirections, where it ends, and what is wrong with its text."""

    words: tuple[Word, ...]
    start: int
    end: int
    faults: tuple[Fault, ...] = ()


def read_command(
    text: str, start: int, end: int | None = None, *, variables: Mapping[str, str] | None = None, array: bool = False
) -> Simple:
    """The command that starts at an offset; ``array``: inside ``NAME=( … )``, where lines need no continuation."""
    return _Reader(text, len(text) if end is None else end, variables or {}, array).read(start)


@dataclass
class _Reader:
    text: str
    end: int
    variables: Mapping[str, str]
    array: bool
    words: list[Word] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    word_start: int = -1
    exact: int = -1
    opaque: bool = False
    redirected: bool = False
    # A search that failed once fails for ever: what makes the reader linear.
    unclosed: set[str] = field(default_factory=set)

    def read(self, start: int) -> Simple:
        n, continued, joined, steps = start, False, False, 0
        while n < self.end and len(self.words) < MOST_WORDS and steps < MOST_PIECES:
            c = self.text[n]
            steps += 1
            if c in " \t\r\f\v" or (c == "\n" and self.array):
                self._flush(n)
                blank = _BLANK.match(self.text, n, self.end)
                n = blank.end() if blank else n + 1
            elif c == "\n":
                self._flush(n)
                following = self._goes_on(n, joined)
                if following is None:
                    break
                self.faults.append(Fault("missing-continuation", self._line_end(n), n))
                n, joined = following, True
            elif c == "\\":
                n, continued = self._backslash(n), True
                continue
            elif c == "#" and self.word_start < 0:
                n = self._comment(n, continued)
            elif c in ";|()" or (c == "&" and not self.text.startswith("&>", n)):
                break
            elif c in "<>&" or (self.word_start < 0 and c.isdigit() and _REDIRECTED.match(self.text, n, self.end)):
                n = self._redirection(n)
            else:
                n = self._part(n, c)
            continued = continued and c in " \t"
        self._flush(n)
        if n < self.end and (len(self.words) >= MOST_WORDS or steps >= MOST_PIECES):
            self.faults.append(Fault("too-many-words", start, n, f"{MOST_WORDS:,}"))
        return Simple(tuple(self.words), start, n, tuple(self.faults))

    def _flush(self, at: int) -> None:
        if self.word_start >= 0 and not self.redirected:
            text = "".join(self.parts)
            if text[:1] in ("–", "—") and self.text[self.word_start] == text[0]:  # a quoted one was meant
                self.faults.append(Fault("typographic", self.word_start, at, text[0]))
                text, self.exact = text[0].translate(_DASHES) + text[1:].lstrip("-"), -1
            self.words.append(Word(text, self.word_start, at, self.opaque, self.exact))
        if self.word_start >= 0:
            self.redirected = False
        self.parts, self.word_start, self.exact, self.opaque = [], -1, -1, False

    def _add(self, piece: str, at: int, exact: int = -1) -> None:
        if self.word_start < 0:
            self.word_start, self.exact = at, exact
        else:
            self.exact = -1
        self.parts.append(piece)

    def _line_end(self, n: int) -> int:
        while n > 0 and self.text[n - 1] in " \t\r":
            n -= 1
        return n

    def _goes_on(self, n: int, joined: bool) -> int | None:
        """Where the command goes on behind a newline that ends it for a shell; None where it really ends."""
        if not self.words:
            return None
        option = _NEXT_OPTION.match(self.text, n, self.end)
        if option is None and self.text.startswith("\n", n):
            # An image or a model on a line of its own, between lines of options.
            line_end, at = n, n + 1
            for _ in range(2):
                line_end = self.text.find("\n", at, min(self.end, at + 400))
                bare = _BARE_LINE.fullmatch(self.text, at, line_end) if line_end >= 0 else None
                if bare is None or "/" not in bare.group():
                    last = self.text[at : min(self.end, at + 400)] if line_end < 0 and joined else ""
                    return n + 1 if last.strip() and "/" in last and _BARE_LINE.fullmatch(last) else None
                if joined or _NEXT_OPTION.match(self.text, line_end, self.end):
                    return n + 1
                at = line_end + 1
        return option.end() if option else None

    def _backslash(self, n: int) -> int:
        if found := _CONTINUED.match(self.text, n, self.end):
            return found.end()
        if found := _CONTINUED_BADLY.match(self.text, n, self.end):
            self._flush(n)
            self.faults.append(Fault("space-after-backslash", n, found.end()))
            return found.end()
        if n + 1 < self.end:
            self._add(self.text[n + 1], n)
        else:
            self._flush(n)
        return n + 2

    def _comment(self, n: int, continued: bool) -> int:
        line_end = self.text.find("\n", n, self.end)
        line_end = self.end if line_end < 0 else line_end
        option = _NEXT_OPTION.match(self.text, line_end, self.end) if self.words else None
        if option and (continued or self.text[line_end - 1] == "\\"):
            self.faults.append(Fault("comment-cuts", n, line_end))
            return option.end()
        return line_end

    def _redirection(self, n: int) -> int:
        if placeholder := _PLACEHOLDER.match(self.text, n, self.end):
            self.faults.append(Fault("placeholder", n, placeholder.end(), placeholder.group()))
            self._add(placeholder.group(), n)
            self.opaque = True
            return placeholder.end()
        found = _REDIRECTED.match(self.text, n, self.end)
        self._flush(n)
        self.redirected = True
        return found.end() if found else n + 1

    def _part(self, n: int, c: str) -> int:
        if c == "'":
            return self._single(n)
        if c == '"':
            return self._double(n)
        if c in "$`":
            return self._expansion(n)
        if c in _CLOSING:
            return self._curly(n, c)
        plain = _PLAIN.match(self.text, n, self.end)
        end = plain.end() if plain else n + 1
        self._add(self.text[n:end], n, n)
        return end

    def _rest_of_line(self, n: int, quote: str) -> int:
        """An unclosed quote is taken up to the end of its line."""
        self.unclosed.add(quote)
        line_end = self.text.find("\n", n, self.end)
        line_end = self.end if line_end < 0 else line_end
        self.faults.append(Fault("unbalanced-quote", n, line_end, quote))
        self._add(self.text[n + 1 : line_end].removesuffix("\\").rstrip(), n)
        return line_end

    def _single(self, n: int) -> int:
        end = -1 if "'" in self.unclosed else self.text.find("'", n + 1, self.end)
        if end < 0:
            return self._rest_of_line(n, "'")
        self._add(self.text[n + 1 : end], n, n + 1)
        return end + 1

    def _double(self, n: int) -> int:
        found = None if '"' in self.unclosed else _DOUBLE.match(self.text, n, self.end)
        if found is None:
            return self._rest_of_line(n, '"')
        inner = found.group(1)
        if "\\" not in inner and "$" not in inner and "`" not in inner:
            self._add(inner, n, n + 1)
            return found.end()
        at, last = n + 1, found.end() - 1
        self._add("", n)
        while at < last:
            special = _IN_DOUBLE.search(self.text, at, last)
            stop = special.start() if special else last
            self.parts.append(self.text[at:stop])
            if special is None:
                break
            if special.group(2):
                at = min(self._expansion(stop), last)
            else:
                self.parts.append(special.group(1) or special.group(3) or "")
                self.opaque = self.opaque or bool(special.group(3))
                at = special.end()
        return found.end()

    def _expansion(self, n: int) -> int:
        """``$X``, ``${X}``, ``$(…)``, ``$'…'`` and backquotes; known variables are put in, others stay as they are."""
        text = self.text
        if text.startswith("$'", n) and self.word_start < 0:
            return self._ansi(n)
        braced = _BRACED.match(text, n, self.end)
        name = None if braced else _NAME.match(text, n, self.end)
        found = braced or name
        if found is not None:
            known = self.variables.get(found.group(1) or "")
            if known is None and braced and braced.group(2) and braced.group(3):
                known = braced.group(3)
            self._add(found.group() if known is None else known, n)
            self.opaque = self.opaque or known is None
            return found.end()
        if text.startswith("${", n):
            end = self._balanced(n, _BRACES, "{")
        elif text.startswith("$(", n):
            end = self._balanced(n, _PARENS, "(")
        elif text[n] == "`" and "`" not in self.unclosed:
            closing = text.find("`", n + 1, self.end)
            end = closing + 1
            if closing < 0:
                self.unclosed.add("`")
        else:
            end = 0
        if end <= 0:
            self._add(text[n], n)
            return n + 1
        self._add(text[n:end], n)
        self.opaque = True
        return end

    def _balanced(self, n: int, either: re.Pattern[str], opening: str) -> int:
        if opening in self.unclosed:
            return 0
        depth = 0
        for found in either.finditer(self.text, n, self.end):
            depth += 1 if found.group() == opening else -1
            if depth == 0:
                return found.end()
        self.unclosed.add(opening)
        return 0

    def _ansi(self, n: int) -> int:
        found = None if "$'" in self.unclosed else _ANSI.match(self.text, n, self.end)
        if found is None:
            self.unclosed.add("$'")
            self._add("$", n)
            return n + 1
        self._add(re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), found.group(1), flags=re.DOTALL), n)
        return found.end()

    def _curly(self, n: int, c: str) -> int:
        """“Typographic” quotes: a shell takes them for letters; they are read as the quotes that were meant."""
        limit = min(self.end, n + _LONGEST_CURLY)
        line_end = self.text.find("\n", n, limit)
        end = self.text.find(_CLOSING[c], n + 1, limit if line_end < 0 else line_end)
        if not self.faults or self.faults[-1].code != "typographic":
            self.faults.append(Fault("typographic", n, end + 1 if end >= 0 else n + 1, c))
        if end < 0:
            self._add("", n)
            return n + 1
        self._add(self.text[n + 1 : end], n)
        return end + 1
