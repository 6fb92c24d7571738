"""From the words of a command to vLLM's own: which program is started, and what stands in front of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsv4_launch.convert.read.launch import Variable
from dsv4_launch.convert.read.shell_text import read_command
from dsv4_launch.convert.read.words import Fault, Word, moved, moved_faults
from dsv4_launch.dataclass import dataclass

_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PYTHON = re.compile(r"(.*/)?python[\d.]{0,6}")
_MODULE = re.compile(r"vllm\.entrypoints\.(openai\.)?(api_server|cli\.main)")
_SHELL = re.compile(r"(.*/)?(ba|z|da|k)?sh")
_BEHIND = {"sudo", "env", "exec", "nohup", "time", "command", "nice", "ionice", "stdbuf", "tini", "--"}


@dataclass(frozen=True, slots=True)
class Served:
    """A command that starts vLLM: the program's words, the words behind it, assignments in front, faults inside."""

    program: str
    engine: tuple[Word, ...]
    variables: tuple[Variable, ...] = ()
    faults: tuple[Fault, ...] = ()


def assignment(word: Word) -> Variable | None:
    """``NAME=value`` as a variable."""
    found = _ASSIGNED.fullmatch(word.text)
    return Variable(found.group(1), found.group(2), word.span, word.opaque) if found else None


def served(words: Sequence[Word], text: str, depth: int = 0) -> Served | None:
    """The vLLM server that the words of a command start; None when they start something else."""
    found: list[Variable] = []
    at = 0
    while at < len(words):
        variable = assignment(words[at])
        if variable is not None:
            found.append(variable)
        elif words[at].text not in _BEHIND and not (at and words[at].text.startswith("-") and words[0].text in _BEHIND):
            break
        at += 1
    rest = words[at:]
    if not rest:
        return None
    name = rest[0].text
    if len(rest) > 1 and name.rsplit("/", 1)[-1] == "vllm" and rest[1].text == "serve":
        return Served(name, tuple(rest[2:]), tuple(found))
    if _PYTHON.fullmatch(name):
        return _module(rest, found)
    if _SHELL.fullmatch(name) and depth < 3:
        return _script(rest, text, found, depth)
    return None


def _module(words: Sequence[Word], variables: Sequence[Variable]) -> Served | None:
    for n, word in enumerate(words[1:-1], start=1):
        if word.text != "-m":
            continue
        module = words[n + 1].text
        if not _MODULE.fullmatch(module):
            return None
        rest = words[n + 2 :]
        if module.endswith("main") and rest and rest[0].text == "serve":
            rest = rest[1:]
        return Served(f"{words[0].text} -m {module}", tuple(rest), tuple(variables))
    return None


def _script(words: Sequence[Word], text: str, variables: Sequence[Variable], depth: int) -> Served | None:
    at = next((n for n, w in enumerate(words[1:], start=1) if re.fullmatch(r"-[a-z]*c[a-z]*", w.text)), 0)
    if not at or at + 1 >= len(words):
        return None
    return in_script(words[at + 1], text, variables, depth)


def in_script(script: Word, text: str, variables: Sequence[Variable] = (), depth: int = 0) -> Served | None:
    """The server that a shell script in one word starts, with what it exports before."""
    if len(script.text) > 100_000:
        return None
    exported = list(variables)
    faults: list[Fault] = []
    start = 0
    known = {v.name: v.value or "" for v in exported if not v.opaque}
    for _ in range(200):
        while start < len(script.text) and script.text[start] in " \t\r\n;&|()":
            start += 1
        if start >= len(script.text):
            return None
        simple = read_command(script.text, start, variables=known)
        words = simple.words
        if words and words[0].text == "export":
            words = words[1:]
        offset = script.exact if script.exact >= 0 else None
        outer = moved(words, offset, script.span)
        faults += moved_faults(simple.faults, offset, script.span)
        inside = served(outer, text, depth + 1)
        if inside is not None:
            return Served(inside.program, inside.engine, (*exported, *inside.variables), (*faults, *inside.faults))
        given = [assignment(w) for w in outer]
        if given and all(given):
            exported += [v for v in given if v]
            known |= {v.name: v.value or "" for v in given if v and not v.opaque}
        start = max(simple.end, start + 1)
    return None
