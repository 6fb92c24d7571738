"""A Dockerfile's FROM, ENV, ENTRYPOINT and CMD as a launch. https://docs.docker.com/reference/dockerfile/"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from dsv4_launch.convert.read.entry import engine_words
from dsv4_launch.convert.read.launch import Launch, Variable
from dsv4_launch.convert.read.program import assignment
from dsv4_launch.convert.read.shell_text import read_command
from dsv4_launch.convert.read.words import Word

_INSTRUCTION = re.compile(
    r"(?im)^[ \t]{0,40}(FROM|ENV|CMD|ENTRYPOINT)[ \t]+((?:[^\n]*\\[ \t]*\n(?:[ \t]*#[^\n]*\n)*)*[^\n]*)"
)
_FROM = re.compile(r"(?im)^[ \t]{0,40}FROM[ \t]+\S")
_COMMAND = re.compile(r"(?im)^[ \t]{0,40}(CMD|ENTRYPOINT)[ \t]+\S")


def dockerfile_launches(text: str) -> list[Launch]:
    """The launch of a Dockerfile's last stage; none when the text is no Dockerfile, or starts something else."""
    if not _FROM.search(text) or not _COMMAND.search(text):
        return []
    image: Word | None = None
    entry: tuple[Word, ...] | None = None
    command: tuple[Word, ...] = ()
    variables: list[Variable] = []
    span = (0, len(text))
    for n, found in enumerate(_INSTRUCTION.finditer(text)):
        if n > 500:
            break
        name, at = found.group(1).upper(), found.start(2)
        words = _words(text, at, found.end(2))
        if name == "FROM":
            image = next((w for w in words if not w.text.startswith("--")), None)
            entry, command, variables = None, (), []
        elif name == "ENV":
            variables += _env(words)
        elif name == "ENTRYPOINT":
            entry, span = words, (found.start(), found.end())
        else:
            command, span = words, (found.start(), found.end())
    if not entry and not command:
        return []
    read = engine_words(entry, command, image, text)
    if not read.engine:
        return []
    return [
        Launch(
            kind="dockerfile",
            program=read.program,
            span=span,
            engine=read.engine,
            image=image,
            variables=(*variables, *read.variables),
            faults=read.faults,
            loose=read.loose,
        )
    ]


def _words(text: str, start: int, end: int) -> tuple[Word, ...]:
    if text.startswith("[", start):
        try:
            items = json.loads(re.sub(r"\\[ \t]*\n", "\n", text[start:end]))
        except (ValueError, RecursionError):
            items = None
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return _at_json(items, text, start, end)
    return read_command(text, start, end).words


def _at_json(items: Sequence[str], text: str, start: int, end: int) -> tuple[Word, ...]:
    found: list[Word] = []
    at = start
    for item in items:
        quoted = json.dumps(item, ensure_ascii=False)
        place = text.find(quoted, at, end)
        if place < 0:
            found.append(Word(item, start, end))
            continue
        exact = place + 1 if quoted[1:-1] == item else -1
        found.append(Word(item, place + 1, place + len(quoted) - 1, "$" in item, exact))
        at = place + len(quoted)
    return tuple(found)


def _env(words: Sequence[Word]) -> list[Variable]:
    given = [assignment(word) for word in words]
    if words and all(given):
        return [v for v in given if v is not None]
    if len(words) >= 2:  # the old form: ENV NAME value
        return [Variable(words[0].text, " ".join(w.text for w in words[1:]), words[0].span)]
    return []
