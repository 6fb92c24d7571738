"""Which routes of a server generate, from its own OpenAPI document: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# A body with one of these asks for generated tokens.
_LENGTHS = {"max_tokens", "max_completion_tokens", "max_output_tokens", "sampling_params"}
# Routes that run the model and whose body the document does not describe, or not by a length.
_KNOWN = {"/invocations", "/generative_scoring", "/inference/v1/generate"}

# Routes that every vLLM server has, and every proxy in front of one passes.
ALWAYS = ("/v1/chat/completions", "/v1/completions")


def generating(document: Any) -> tuple[str, ...]:
    """The paths that a POST makes generate, sorted. Routes whose purpose is not known are left alone: they may act."""
    paths = document.get("paths") if isinstance(document, Mapping) else None
    if not isinstance(paths, Mapping):
        return ()
    found = set()
    for path, operations in paths.items():
        post = operations.get("post") if isinstance(operations, Mapping) else None
        # A path with a parameter names one request; with control characters it is none.
        if not isinstance(post, Mapping) or "{" in path or not path.startswith("/") or not path.isprintable():
            continue
        if path in _KNOWN or _LENGTHS & set(_properties(post, document)):
            found.add(str(path))
    return tuple(sorted(found))


def _properties(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    body = operation.get("requestBody")
    content = body.get("content") if isinstance(body, Mapping) else None
    for kind in content.values() if isinstance(content, Mapping) else ():
        schema = kind.get("schema") if isinstance(kind, Mapping) else None
        if not isinstance(schema, Mapping):
            continue
        for part in (schema, *(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())):
            yield from _fields(part, document)


def _fields(schema: Any, document: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    name = schema.get("$ref")
    if isinstance(name, str):
        schemas = (document.get("components") or {}).get("schemas") or {}
        schema = schemas.get(name.rpartition("/")[2]) or {}
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    yield from map(str, properties if isinstance(properties, Mapping) else ())
