"""The remedies of a launch's errors, made in the words of the command: for launches that no config can hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from dsv4_launch.catalog.advisories import advisories
from dsv4_launch.catalog.flags import flag_table
from dsv4_launch.catalog.rules import Patch, constraints
from dsv4_launch.convert.imports.engine import INDEXER_OPTIONS, indexer_option
from dsv4_launch.convert.lint.judge import Verdict, judge
from dsv4_launch.convert.read.engine import Engine, loaded
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.words import Word
from dsv4_launch.plan.arguments import PARALLEL, words_of

_NEUTRAL = "indexer_cache_dtype"


def remedied(launch: Launch, text: str, vllm: str, gpu: str | None) -> Launch:
    """The launch with the patch of each error that it cures and that breaks nothing else. Never raises for any text."""
    verdict = judge(launch, text, vllm, gpu)
    for code in dict.fromkeys(finding.code for finding in verdict.errors):
        patch = _patches().get(code)
        changed = _patched(verdict, patch) if patch is not None else None
        if changed is None:
            continue
        after = judge(changed, text, vllm, gpu)
        codes = {finding.code for finding in after.errors}
        if code not in codes and codes <= {finding.code for finding in verdict.errors}:
            verdict = after
    return verdict.launch


@lru_cache
def _patches() -> Mapping[str, Patch]:
    known = {advisory.id: advisory.patch for advisory in advisories()}
    known |= {constraint.code: constraint.patch for constraint in constraints()}
    return {code: patch for code, patch in known.items() if patch is not None}


def _patched(verdict: Verdict, patch: Patch) -> Launch | None:
    """The launch with a patch in its words; None when it is about more than vLLM's options."""
    engine = verdict.imported.engine
    words: list[Word | None] = list(engine.words)
    table = flag_table(engine.release.table)
    for path, value in (*((path, None) for path in patch.remove), *patch.set.items()):
        name = PARALLEL.get(path) or path.removeprefix("engine.")
        dest, dot, key = name.partition(".")
        if name == path or (dest not in table.by_dest and dest != _NEUTRAL):
            return None
        if dest == _NEUTRAL:
            for option in INDEXER_OPTIONS:
                _take(words, engine, *option.split("."))
            name, value = _indexer(value, engine.release.table)
            dest, dot, key = name.partition(".")
        if value is None:
            _take(words, engine, dest, key)
        elif not (dot and _put(words, engine, dest, key, value)):
            _take(words, engine, dest, key)
            words += _words(words_of(name, value, table))
    return replace(verdict.launch, engine=engine.written(words))


def _indexer(value: str, release: str) -> tuple[str, Any]:
    """The release's own name and value of the neutral field."""
    name, _, said = indexer_option(value, release).removeprefix("--").partition("=")
    return name, {"True": True, "False": False}.get(said, said)


def _words(texts: Any) -> list[Word]:
    return [Word(text, 0, 0) for text in texts]


def _take(words: list[Word | None], engine: Engine, dest: str, key: str = "") -> None:
    """Take an option out, or one key of its table, however it was written."""
    for n, keys in _places(words, engine, dest, key):
        if not keys:
            words[n] = None
        elif set(keys) == {key}:
            for at in engine.parsed.given[dest].at:  # the option and its table, which would be empty
                words[at] = None
        else:
            _write(words, n, {name: item for name, item in keys.items() if name != key})


def _put(words: list[Word | None], engine: Engine, dest: str, key: str, value: Any) -> bool:
    """Set one key of a table that is written as JSON; False when none is."""
    for n, keys in _places(words, engine, dest, key, missing=True):
        if keys:
            _write(words, n, {**keys, key: value})
            return True
    return False


def _places(
    words: list[Word | None], engine: Engine, dest: str, key: str, *, missing: bool = False
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The words of an option, or of its dotted key; with a table in JSON that has the key (or may), the table."""
    given = engine.parsed.given.get(dest)
    dotted = False
    for n in given.at if given is not None else ():
        word = words[n]
        if word is None or word.opaque:
            continue
        table = loaded(word.text.partition("=")[2] if word.text.startswith("-") else word.text) if key else None
        if isinstance(table, dict) and (missing or key in table):
            yield n, table
        elif word.text.startswith("-"):
            name, equals, _ = word.text.lstrip("-").partition("=")
            first, dot, rest = name.partition(".")
            same = first.replace("-", "_") + dot + rest == f"{dest}.{key}"
            dotted = same and not equals
            if not key or same:
                yield n, {}
        elif not key or dotted:
            yield n, {}


def _write(words: list[Word | None], n: int, table: Mapping[str, Any]) -> None:
    word = words[n]
    if word is not None:
        option, equals, _ = word.text.partition("=") if word.text.startswith("-") else ("", "", "")
        words[n] = replace(word, text=f"{option}{equals}{json.dumps(table)}", exact=-1)
