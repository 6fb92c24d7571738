"""What a container runs: the image's entry point, what replaces it, and vLLM's words behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsv4_launch.convert.read.launch import Variable
from dsv4_launch.convert.read.program import served
from dsv4_launch.convert.read.words import Fault, Word, span_of
from dsv4_launch.dataclass import dataclass

# The entry point of the official images is `vllm serve`
# (https://github.com/vllm-project/vllm/blob/v0.20.0/docker/Dockerfile).
_OFFICIAL = re.compile(r"(?:[\w.:-]+/)*vllm/vllm-openai(?:[:@].*)?")
_MODEL = re.compile(r"[\w.-]+/[\w.-]+|[./~$].*|\$.*|--?\w.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """vLLM's words in a container, what a script in it exports, faults, and words that nothing could be made of."""

    engine: tuple[Word, ...]
    program: str = "vllm"
    variables: tuple[Variable, ...] = ()
    faults: tuple[Fault, ...] = ()
    loose: tuple[Word, ...] = ()


def is_official(image: str) -> bool:
    """True for an image whose entry point is known to be ``vllm serve``."""
    return bool(_OFFICIAL.fullmatch(image))


def engine_words(
    entrypoint: Sequence[Word] | None, command: Sequence[Word], image: Word | None, text: str, *, replaced: bool = False
) -> Entry:
    """vLLM's words. ``entrypoint`` None: the image's own; ``replaced``: the command stands in its place."""
    if entrypoint is not None or replaced:
        whole = (*(entrypoint or ()), *command)
        server = served(whole, text)
        if server is None:
            return Entry((), loose=tuple(whole))
        return Entry(server.engine, server.program, server.variables, server.faults)
    server = served(command, text)
    official = image is not None and is_official(image.text)
    if server is not None:
        twice = span_of([w for w in command if w not in server.engine][:2] or command[:1])
        fault = (Fault("entrypoint-twice", *twice, server.program),) if official else ()
        return Entry(server.engine, server.program, server.variables, (*server.faults, *fault))
    if not official and command and command[0].text == "serve":
        return Entry(tuple(command[1:]))
    if official or (command and _MODEL.fullmatch(command[0].text)):
        return Entry(tuple(command))
    return Entry((), loose=tuple(command))
