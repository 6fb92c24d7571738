"""The launches in a text: shell commands, compose files, Kubernetes manifests, Dockerfiles, tables of options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from dsv4_launch.convert.read.arrays import ArraySet, array_sets, spread
from dsv4_launch.convert.read.docker_words import docker_run
from dsv4_launch.convert.read.dockerfile import dockerfile_launches
from dsv4_launch.convert.read.entry import engine_words
from dsv4_launch.convert.read.launch import Launch, Variable
from dsv4_launch.convert.read.manifests import manifest_launches
from dsv4_launch.convert.read.program import served
from dsv4_launch.convert.read.shell_text import Simple, read_command
from dsv4_launch.convert.read.shell_variables import assigned, is_exported, known_values, set_in_front
from dsv4_launch.convert.read.words import Fault, Word, moved, moved_faults, span_of

MOST_LAUNCHES = 10

_GAP = r"[ \t]{1,40}"
# What tells a launch; the program's path in front of it is looked for from here.
_ANCHOR = re.compile(
    rf"(?P<container>(?:docker|podman|nerdctl){_GAP}(?:container{_GAP})?run\b)"
    rf"|(?P<vllm>vllm[\"']?{_GAP}serve\b)"
    rf"|(?P<python>-m{_GAP}vllm\.entrypoints\b)"
)
# A sanitised or renamed program, looked for only where nothing else is found.
_RENAMED = re.compile(rf"(?<=[^\s])(?P<vllm>{_GAP}serve(?={_GAP}(?:[\"'$]|[\w.~-]{{0,80}}/)))")
_PROGRAM = re.compile(r"(?:\"[^\"\n]{1,300}|'[^'\n]{1,300}|[<\w./~>${}-]{1,200})\Z")
_QUOTED = re.compile(r"(?:\"[^\"\n]{1,300}\"|'[^'\n]{1,300}')\Z")
_PYTHON = re.compile(rf"(?:[\w./~-]{{0,200}}/)?python[\d.]{{0,6}}{_GAP}\Z")
_COMMENT = re.compile(r"[ \t]*#")
_ARRAY = re.compile(r"[A-Za-z_]\w{0,80}\+?=\([ \t]*\n?[ \t]*\Z")
_SCRIPT_OF = re.compile(r"(?:(?:ba|z|da)?sh[ \t]+-\w{0,4}c|ssh[ \t]+\S{1,80})[ \t]+\Z")
_PREFIX_CHARACTERS = 2_000


def find_launches(text: str) -> tuple[Launch, ...]:
    """Every launch of vLLM in a text, in its order; at most ten."""
    pasted = text
    text = text.replace("\r\n", " \n").replace("\r", "\n").replace("\x00", " ")
    found = dockerfile_launches(text) or manifest_launches(text)
    if found:
        return tuple(found[:MOST_LAUNCHES])
    return tuple(replace(one, faults=tuple(_as_pasted(f, pasted) for f in one.faults)) for one in _shell_launches(text))


def _as_pasted(fault: Fault, pasted: str) -> Fault:
    """What looks like a blank behind a backslash is the carriage return of a file from Windows."""
    windows = fault.code == "space-after-backslash" and pasted.startswith("\\\r\n", fault.start)
    return replace(fault, code="windows-line-ends") if windows else fault


def _shell_launches(text: str) -> list[Launch]:
    for pattern, comments in ((_ANCHOR, False), (_ANCHOR, True), (_RENAMED, False)):
        found = _scan(text, pattern, comments=comments)
        if found:
            return found
    return []


def _scan(text: str, pattern: re.Pattern[str], *, comments: bool) -> list[Launch]:
    found: list[Launch] = []
    shell: tuple[Variable, ...] | None = None
    sets: tuple[ArraySet, ...] = ()
    behind = tried = 0
    for anchor in pattern.finditer(text):
        if anchor.start() < behind:
            continue
        start = text.rfind("\n", max(0, anchor.start() - _PREFIX_CHARACTERS), anchor.start()) + 1
        if not comments and _COMMENT.match(text, start, anchor.start()):
            continue
        at = max(_start(text, anchor), behind)
        if shell is None:
            shell = assigned(text)
            sets = array_sets(text, known_values(shell))
        tried += 1
        launch, behind = _one(text, anchor, at, start, [v for v in shell if v.span[0] < at], sets)
        if launch is not None:
            found.append(launch)
        if len(found) >= MOST_LAUNCHES or tried >= 5 * MOST_LAUNCHES:
            break
    return found


def _start(text: str, anchor: re.Match[str]) -> int:
    """Where the program of an anchor starts, its path and quotes included."""
    end = anchor.start()
    before = text[max(0, end - 310) : end]
    if anchor.re is _RENAMED:
        found = _QUOTED.search(before) if before.endswith(('"', "'")) else _PROGRAM.search(before)
    elif anchor.lastgroup == "python":
        found = _PYTHON.search(before)
    elif not before or before[-1].isspace():
        return end
    else:
        found = _PROGRAM.search(before)
        quote = anchor.group()[4] if anchor.group()[4:5] in ('"', "'") else ""
        if found and found.group()[0] in "\"'" and found.group()[0] != quote:
            found = None  # the quote is that of a script around the command
    return end - len(found.group()) if found else end


def _one(
    text: str,
    anchor: re.Match[str],
    at: int,
    line_start: int,
    shell: Sequence[Variable],
    sets: Sequence[ArraySet],
) -> tuple[Launch | None, int]:
    end = len(text)
    prefix_start = max(line_start, at - _PREFIX_CHARACTERS)
    while text[:prefix_start].endswith("\\\n") and at - prefix_start < _PREFIX_CHARACTERS:
        prefix_start = text.rfind("\n", 0, prefix_start - 1) + 1
    prefix = text[prefix_start:at]
    known = known_values(shell)
    array = bool(_ARRAY.search(text[max(0, at - 200) : at]))
    ahead = set_in_front(text, prefix_start, at)
    simple = _inner(text, prefix_start, prefix, at, known)
    if simple is None:
        # In single quotes it is a character of a value, not the mark of code in prose.
        if re.sub(r"'[^'\n]*'", "", prefix).count("`") % 2 == 1 and (tick := text.find("`", at)) >= 0:
            end = tick
        simple = read_command(text, at, end, variables=known, array=array)
    simple = replace(simple, words=spread(simple.words, sets, at))
    faults = tuple(f for f in simple.faults if f.code != "missing-continuation" or not array)
    if anchor.lastgroup == "container":
        return _container(text, simple, faults, ahead, shell), max(simple.end, at + 1)
    words = simple.words
    if anchor.re is _RENAMED and words:
        words = (Word("vllm", words[0].start, words[0].end), *words[1:])
        faults = tuple(f for f in faults if f.start > words[0].end)
    server = served(words, text)
    if server is None:
        return None, max(simple.end, at + 1)
    exported = tuple(v for v in shell if is_exported(text, v))
    return (
        Launch(
            kind="native",
            program=simple.words[0].text if anchor.re is _RENAMED else server.program,
            span=(at, simple.end),
            engine=server.engine,
            variables=(*exported, *ahead, *server.variables),
            faults=(*faults, *server.faults),
        ),
        max(simple.end, at + 1),
    )


def _inner(text: str, start: int, prefix: str, at: int, known: dict[str, str]) -> Simple | None:
    """The command when it stands inside the quotes of ``bash -c '…'`` or ``ssh host "…"``."""
    opening = max(prefix.rfind("'"), prefix.rfind('"'))
    if opening < 0 or not _SCRIPT_OF.search(prefix[:opening]):
        return None
    outer = read_command(text, start + opening)
    if not outer.words:
        return None
    script = outer.words[0]
    offset = script.exact if script.exact >= 0 else None
    inside = script.text.find(text[at : at + 4])
    inner = read_command(script.text, max(inside, 0), variables=known)
    return Simple(
        moved(inner.words, offset, script.span),
        at,
        max(script.end, at + 1),
        moved_faults(inner.faults, offset, script.span),
    )


def _container(
    text: str, simple: Simple, faults: tuple[Fault, ...], ahead: tuple[Variable, ...], shell: Sequence[Variable]
) -> Launch | None:
    words = simple.words
    run = next((n for n, word in enumerate(words[:4]) if word.text == "run"), None)
    if run is None:
        return None
    docker = docker_run(words[run + 1 :])
    by_name = {v.name: v for v in (*shell, *ahead)}
    variables = tuple(
        _passed(option.value or "", option.span, option.opaque, by_name)
        for option in docker.options
        if option.name == "env" and option.value
    )
    entry = next((o for o in reversed(docker.options) if o.name == "entrypoint" and o.value is not None), None)
    entrypoint = (Word(entry.value or "", *entry.span, entry.opaque),) if entry is not None else None
    inside = engine_words(entrypoint, docker.command, docker.image, text)
    return Launch(
        kind="docker",
        program=words[0].text.rsplit("/", 1)[-1],
        span=(simple.start, simple.end),
        engine=inside.engine,
        image=docker.image,
        options=tuple(o for o in docker.options if o.name != "env"),
        variables=(*variables, *inside.variables),
        faults=(*faults, *docker.faults, *inside.faults),
        loose=inside.loose,
    )


def _passed(text: str, span: tuple[int, int], opaque: bool, known: dict[str, Variable]) -> Variable:
    """``NAME=value``, or ``NAME`` alone: by name, from a variable that may be set in front of the command."""
    name, equals, value = text.partition("=")
    if equals:
        return Variable(name, value, span, opaque)
    given = known.get(name)
    source = given.value if given is not None and given.value and "$" in given.value else None
    return Variable(name, None, span, opaque=False) if source is None else Variable(name, source, span, opaque=True)


def argv_launch(words: Sequence[str]) -> Launch:
    """A launch from the words behind ``vllm serve`` alone; their places are those of the words joined by blanks."""
    found: list[Word] = []
    at = 0
    for text in words:
        found.append(Word(text, at, at + len(text), exact=at))
        at += len(text) + 1
    return Launch(kind="argv", program="vllm", span=span_of(found), engine=tuple(found))
