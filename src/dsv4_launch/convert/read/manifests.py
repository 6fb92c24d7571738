"""Compose files, Kubernetes manifests and tables of vLLM options as launches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from dsv4_launch.convert.read.compose import compose_launch
from dsv4_launch.convert.read.kubernetes import container_launch
from dsv4_launch.convert.read.launch import Launch, Variable
from dsv4_launch.convert.read.words import Span, Word
from dsv4_launch.convert.read.yaml_nodes import Scalar, documents, entries, get, scalar, tables, text_of

_IS_YAML = re.compile(r"(?m)^[ \t]{0,40}[\"']?[\w.-]{1,80}[\"']?[ \t]*:(?:[ \t]|\n|\Z)|\A\s*\{")
_OURS = re.compile(r"vllm|kv[-_]cache[-_]dtype|tensor[-_]parallel[-_]size")
_ENVIRONMENT = re.compile(r"(.{0,80}?)[_-]?(?:environment|env)")
# Options whose presence says that a table is one of vLLM's (`--config FILE`, a benchmark's or an operator's values).
_TELLING = frozenset(
    {
        "block-size", "data-parallel-size", "enable-expert-parallel", "gpu-memory-utilization", "kv-cache-dtype",
        "max-model-len", "max-num-batched-tokens", "max-num-seqs", "reasoning-parser", "tensor-parallel-size",
        "tokenizer-mode", "trust-remote-code",
    }
)  # fmt: skip


def manifest_launches(text: str) -> list[Launch]:
    """Every launch of a YAML or JSON text; none when it is neither, or holds none."""
    if not _OURS.search(text) or not _IS_YAML.search(text):
        return []
    found: list[Launch] = []
    read = documents(text)
    for document in read:
        found += _compose(document, text)
        for pod, name in _pods(document):
            for container in get(pod, "containers") or []:
                launch = container_launch(container, pod, name, text)
                if launch is not None:
                    found.append(launch)
    if not found:
        found = [launch for document in read for launch in _option_tables(document)]
    return found


def _compose(document: Any, text: str) -> Iterator[Launch]:
    for name, service in entries(get(document, "services")):
        launch = compose_launch(name.text, service, text)
        if launch is not None:
            yield launch


def _pods(document: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every pod spec of a manifest, whatever its kind wraps it in, with the name of the object."""
    if not (scalar(document, "kind") or scalar(document, "apiVersion")):
        return
    name = text_of(document, "metadata", "name")
    for table in tables(document):
        if isinstance(table.get("containers"), list):
            yield table, name


def _option_tables(document: Any) -> Iterator[Launch]:
    image = next((t[key] for t in tables(document) for key in ("image", "container") if scalar(t, key)), None)
    model = next((scalar(t, "path") for t in tables(get(document, "model")) if scalar(t, "path")), None)
    variables = list(_variables(document))
    names = {id(inner): key.text for table in tables(document) for key, inner in entries(table)}
    for text in _scalars(document):
        inner = [Word(word, *text.span, opaque="$" in word) for word in text.text.split()[:1_000]]
        if len({word.text.lstrip("-").replace("_", "-") for word in inner} & _TELLING) >= 3:
            start, end = text.span
            model_word = Word("$MODEL", start, start, opaque=True)
            more = Word("${MORE[@]}", end, end, opaque=True)  # what other keys add is not known
            ours = _for("", variables)
            yield Launch("options", "vllm", text.span, (model_word, *inner, more), variables=ours)
    for table in tables(document):
        keys = {key.text.replace("_", "-") for key, _ in entries(table)}
        if len(keys & _TELLING) < 3:
            continue
        words = list(_option_words(table))
        span = (min(w.start for w in words), max(w.end for w in words))
        named = any(word.text in ("--model", "--model-tag") for word in words)
        front = [Word(model.text, *model.span)] if model is not None and not named else []
        if not front and not named:
            front = [Word("$MODEL", span[0], span[0], opaque=True)]
        yield Launch(
            kind="options",
            program="vllm",
            span=span,
            engine=(*front, *words),
            image=image.word if isinstance(image, Scalar) else None,
            variables=_for(names.get(id(table), ""), variables),
            name=text_of(document, "name"),
        )


def _variables(document: Any) -> Iterator[tuple[str, Variable]]:
    """The variables of every ``environment`` table, with whose they are: "prefill" of ``prefill_environment``."""
    for table in tables(document):
        for parent, inner in entries(table):
            found = _ENVIRONMENT.fullmatch(parent.text)
            for key, value in entries(inner) if found else ():
                if found and isinstance(value, Scalar):
                    yield found.group(1), Variable(key.text, value.text, value.span)


def _for(name: str, variables: Sequence[tuple[str, Variable]]) -> tuple[Variable, ...]:
    """Those of one table of options: everybody's and its own; all of them where no table has its own."""
    owned = any(owner == name for owner, _ in variables) and bool(name)
    return tuple(variable for owner, variable in variables if not owned or owner in ("", name))


def _scalars(document: Any) -> Iterator[Scalar]:
    for table in tables(document):
        yield from (value for _, value in entries(table) if isinstance(value, Scalar) and "--" in value.text)


def _option_words(table: dict[str, Any]) -> Iterator[Word]:
    """Options as vLLM's own ``--config`` makes words of them: a true switch alone, a false one not at all."""
    for key, value in entries(table):
        option = Word(f"--{key.text}", *key.span)
        if isinstance(value, Scalar):
            if value.plain and value.text.lower() == "true":
                yield option
            elif not (value.plain and value.text.lower() == "false"):
                yield option
                yield value.word
        elif isinstance(value, list) and all(isinstance(item, Scalar) for item in value):
            yield option
            yield from (item.word for item in value)
        elif isinstance(value, dict):
            yield option
            yield Word(_json(value), *_span(value, key.span))


def _json(node: Any) -> str:
    import json

    return json.dumps(_data(node))


def _data(node: Any) -> Any:
    if isinstance(node, Scalar):
        if node.plain and re.fullmatch(r"-?\d{1,15}", node.text):
            return int(node.text)
        if node.plain and node.text.lower() in ("true", "false", "null", "~", ""):
            return {"true": True, "false": False}.get(node.text.lower())
        return node.text
    if isinstance(node, list):
        return [_data(item) for item in node]
    return {key.text: _data(value) for key, value in entries(node)}


def _span(table: Any, fallback: Span) -> Span:
    places: Sequence[Span] = [value.span for _, value in entries(table) if isinstance(value, Scalar)]
    return (min(s for s, _ in places), max(e for _, e in places)) if places else fallback
