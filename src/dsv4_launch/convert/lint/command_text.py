"""A found launch as shell text again: the same words, quoted and continued as they must be, no secret's value in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from dsv4_launch.convert.read.engine import Engine
from dsv4_launch.convert.read.launch import Launch, Option, Variable
from dsv4_launch.convert.read.words import Word
from dsv4_launch.plan.secrets import looks_like_a_secret

# Published for the whole world: a repaired command serves this machine alone.
_PORTS = re.compile(r"\d{1,5}:\d{1,5}")
_LEFT_OUT = frozenset({"interactive", "tty", "rm", "detach", "expose"})
_SECRET_ARGUMENTS = ("--api-key", "--api_key", "--hf-token", "--hf_token")


def command_text(launch: Launch, engine: Engine, text: str) -> str:
    """The command, one option a line."""
    groups = list(_container(launch, engine, text) if launch.contained else _native(launch))
    groups += _engine(engine, text)
    return " \\\n  ".join(groups)


def _container(launch: Launch, engine: Engine, text: str) -> Iterator[str]:
    program = launch.program if launch.kind == "docker" else "docker"
    yield f"{program} run"
    yield "--detach"
    for option in launch.options:
        if option.name not in _LEFT_OUT:
            yield _option(option, text)
    for variable in launch.variables:
        yield f"--env {_variable(variable)}"
    named = {variable.name for variable in launch.variables}
    if "api_key" in engine.parsed.given and "VLLM_API_KEY" not in named:
        yield "--env VLLM_API_KEY"
    if launch.image is not None:
        yield _word(launch.image, text)


def _native(launch: Launch) -> Iterator[str]:
    for variable in launch.variables:
        if not looks_like_a_secret(variable.name, variable.value or "") and variable.value is not None:
            yield _variable(variable)
    yield "vllm serve"


def _option(option: Option, text: str) -> str:
    if not option.name:
        return _word(option.words[0], text)
    if option.value is None:
        return f"--{option.name}"
    if option.name == "publish" and _PORTS.fullmatch(option.value):
        return f"--publish 127.0.0.1:{option.value}"
    if option.opaque or option.value.startswith("~"):
        return " ".join(text[word.start : word.end] for word in option.words) or f"--{option.name} {option.value}"
    return f"--{option.name} {shlex.quote(option.value)}"


def _variable(variable: Variable) -> str:
    if variable.value is None or looks_like_a_secret(variable.name, variable.value):
        return variable.name
    if variable.opaque:
        return f'{variable.name}="{variable.value}"'
    return f"{variable.name}={shlex.quote(variable.value)}"


def _word(word: Word, text: str) -> str:
    if word.opaque:
        return text[word.start : word.end] or f'"{word.text}"'
    return shlex.quote(word.text)


def _engine(engine: Engine, text: str) -> list[str]:
    # What may hold options itself has a line of its own, and is no value of the option before it.
    alone = {word.span for word in engine.unread()}
    groups: list[str] = []
    skip = False
    for word in engine.written(engine.words):
        if skip:
            skip = False
            continue
        name, equals, _ = word.text.partition("=")
        if name in _SECRET_ARGUMENTS:
            skip = not equals
            continue
        if word.text.startswith("-") or not groups or word.span in alone:
            groups.append(_word(word, text))
        else:
            groups[-1] += " " + _word(word, text)
    return groups
