"""Secrets in a pasted text: where their values stand, so that they are said and never shown."""

from __future__ import annotations

from collections.abc import Iterator

from dsv4_launch.convert.read.engine import Engine
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.words import Span
from dsv4_launch.plan.secrets import looks_like_a_secret

_ARGUMENTS = {"api_key": "--api-key", "hf_token": "--hf-token"}
HIDDEN = "…"


def secret_words(launch: Launch, engine: Engine) -> Iterator[tuple[str, Span]]:
    """What holds a secret's value, by name, with its place."""
    for variable in launch.variables:
        value = variable.value or ""
        if variable.opaque and "$" in value:
            continue
        if looks_like_a_secret(variable.name, value):
            yield variable.name, variable.span
    for dest, name in _ARGUMENTS.items():
        given = engine.parsed.given.get(dest)
        if given is None or not given.values or any(engine.words[n].opaque for n in given.at):
            continue
        words = [engine.words[n] for n in given.at]
        yield name, (words[0].start, words[-1].end)
    for option in launch.options:
        name, _, value = (option.value or "").partition("=")
        if option.name in ("label", "secret", "build-arg", "") and looks_like_a_secret(name, value):
            yield name, option.span


def secret_values(launch: Launch, engine: Engine) -> frozenset[str]:
    """The values themselves, to take them out of whatever is printed."""
    found = {v.value for v in launch.variables if v.value and looks_like_a_secret(v.name, v.value) and not v.opaque}
    for dest in _ARGUMENTS:
        given = engine.parsed.given.get(dest)
        if given is not None:
            found |= {value for value in given.values if "$" not in value}
    return frozenset(value for value in found if len(value) >= 4)


def without_secrets(text: str, values: frozenset[str]) -> str:
    """The text with every secret's value hidden."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text
