"""Values that every layer shares: command words with placeholders, commands, and what a renderer returns.

What only a host knows (its home folder, its user, which GPUs are free) is a tagged placeholder, never text: a shell
prints it as a parameter expansion, JSON prints the tag, and a launch fills it in. A ``StrEnum`` would come back from
JSON as a plain ``str``.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import field, fields, is_dataclass
from typing import Any, Literal, TypeAlias

from dsv4_launch.dataclass import dataclass

RefName = Literal["home", "hf_home", "dsv4_cache", "rehearsal_home", "user", "path", "gpus", "cuda_devices"]

# How a POSIX shell finds what the placeholder stands for. A launch must find the same: dsv4_launch.host.places. GPUs
# are the exception: where DSV4_GPUS names none, a shell takes all, and a launch those that are free
# (dsv4_launch.checks.selection). CUDA stops reading at the first index that is not there: one text for any node.
SHELL_FORMS: Mapping[RefName, str] = {
    "home": "$HOME",
    "hf_home": "${HF_HOME:-$HOME/.cache/huggingface}",
    "dsv4_cache": "${XDG_CACHE_HOME:-$HOME/.cache}/dsv4",
    "rehearsal_home": "${DSV4_REHEARSAL_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dsv4/rehearsal}",
    "user": "$(id -un)",
    "path": "$PATH",
    "gpus": "${DSV4_GPUS:-all}",
    "cuda_devices": "${DSV4_GPUS:-${CUDA_VISIBLE_DEVICES:-0,1,2,3,4,5,6,7}}",
}


@dataclass(frozen=True, slots=True)
class Ref:
    """A placeholder for what only the host knows."""

    ref: RefName


@dataclass(frozen=True, slots=True)
class Joined:
    """One command word made of text and placeholders."""

    join: tuple[str | Ref, ...]


Word: TypeAlias = str | Ref | Joined
Places: TypeAlias = Mapping[RefName, str]


def joined(*parts: Word) -> Word:
    """One word from several; plain text stays plain text."""
    flat: list[str | Ref] = []
    for part in parts:
        for piece in part.join if isinstance(part, Joined) else (part,):
            if isinstance(piece, str) and flat and isinstance(flat[-1], str):
                flat[-1] += piece
            elif piece != "":
                flat.append(piece)
    if not flat:
        return ""
    return flat[0] if len(flat) == 1 else Joined(tuple(flat))


def host_path(text: str) -> Word:
    """A path as a user writes it: a leading ``~`` becomes the home placeholder."""
    if text == "~" or text.startswith("~/"):
        return joined(Ref("home"), text[1:])
    return text


def fill(word: Word, places: Places) -> str:
    """The word as text on a host whose places are known. Raises KeyError for a place that is not given."""
    if isinstance(word, str):
        return word
    if isinstance(word, Ref):
        return places[word.ref]
    return "".join(fill(part, places) for part in word.join)


def shell_word(word: Word) -> str:
    """The word as POSIX shell text, quoted so that pasting it gives exactly this word."""
    if isinstance(word, str):
        return shlex.quote(word)
    parts = word.join if isinstance(word, Joined) else (word,)
    text = "".join(SHELL_FORMS[p.ref] if isinstance(p, Ref) else _in_double_quotes(p) for p in parts)
    return f'"{text}"'


def _in_double_quotes(text: str) -> str:
    return "".join("\\" + c if c in '\\"$`' else c for c in text)


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its words. ``env`` is set for it; ``env_from`` names variables taken from the caller's environment.

    ``env_from`` maps a variable of the program to the caller's variable that holds its (secret) value.
    """

    argv: tuple[Word, ...]
    env: Mapping[str, Word] = field(default_factory=dict)
    env_from: Mapping[str, str] = field(default_factory=dict)

    def fill(self, places: Places) -> Command:
        """The same command with every placeholder filled in."""
        return Command(
            tuple(fill(word, places) for word in self.argv),
            {name: fill(word, places) for name, word in self.env.items()},
            self.env_from,
        )

    def words(self, places: Places) -> list[str]:
        """argv as plain text on a host."""
        return [fill(word, places) for word in self.argv]


@dataclass(frozen=True, slots=True)
class File:
    """A file that a renderer wants written, relative to where it is used."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a target made of a plan: files, then the command that creates the service."""

    command: Command
    files: tuple[File, ...] = ()
    # The words of ``command.argv`` that start a line when a person reads it (indices into argv).
    breaks: tuple[int, ...] = ()


def to_data(value: Any) -> Any:
    """Any of our frozen values as plain JSON data, fields in their declared order."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_data(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    return value


def frozen(data: Any) -> Any:
    """JSON data with tuples for arrays: the only sequence that our values hold."""
    if isinstance(data, Mapping):
        return {key: frozen(item) for key, item in data.items()}
    return tuple(frozen(item) for item in data) if isinstance(data, list | tuple) else data


def canonical_json(value: Any) -> str:
    """JSON text that is equal for equal values."""
    return json.dumps(to_data(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """A short stable digest of a value."""
    import hashlib  # OpenSSL comes with it

    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def nearest(name: str, names: Iterable[str], prefix: str = "", alike: float = 0.6) -> str | None:
    """The name that was probably meant, or None. A ``prefix`` that all of them begin with is not compared.

    ``alike``: how much of two names must be the same (0 to 1).
    """
    folded = {n.removeprefix(prefix).lower().replace("-", "_"): n for n in names}
    found = difflib.get_close_matches(name.removeprefix(prefix).lower().replace("-", "_"), folded, n=1, cutoff=alike)
    return folded[found[0]] if found else None


def counted(number: int, one: str, several: str = "") -> str:
    """``1 file``, ``2,000 files``; ``several`` where an s is not enough."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def clean(text: str) -> str:
    """Text from outside without control characters: it cannot move the cursor, colour or clear a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def listed(names: Iterable[object]) -> str:
    """``a, b or c``."""
    texts = [str(n) for n in names]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}" if texts else "nothing"
