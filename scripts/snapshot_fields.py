"""Runs inside an environment that has vLLM: what the config classes of a release take, asked of them."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import json
import types
import typing
from typing import Any

SCALARS = {bool: "bool", int: "int", float: "float", str: "str", type(None): "none"}
BOUNDS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length")
PROBE_WORD = "dsv4-probe-word"


def plain(value: Any) -> Any:
    """A value as JSON, or `...` when it has no faithful form there."""
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value.value, (int, str)) and "." not in str(value.value) else value.name
    if value == argparse.SUPPRESS:
        return ...
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(v) for v in value]
        items = sorted(items, key=str) if isinstance(value, (set, frozenset)) else items
        return ... if ... in items else items
    if isinstance(value, dict):
        pairs = {str(k): plain(v) for k, v in value.items()}
        return ... if ... in pairs.values() else pairs
    return ...


def members(hint: Any) -> list[Any]:
    """The alternatives of a union, or the one type."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return members(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return [m for a in typing.get_args(hint) for m in members(a)]
    return [hint]


def shape(hint: Any, seen: dict[str, type]) -> Any:
    """A type as nested lists: "int" · ["list", T] · ["dict", K, V] · ["lit", …] · ["cls", NAME] · ["|", …]."""
    parts = members(hint)
    if len(parts) > 1:
        return ["|", *sorted((shape(p, seen) for p in parts), key=json.dumps)]
    hint = parts[0]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in SCALARS:
        return SCALARS[hint]
    if origin is typing.Literal:
        return ["lit", *args]
    if dataclasses.is_dataclass(hint):
        seen[hint.__name__] = hint
        return ["cls", hint.__name__]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        # A member's value may be a class path or a tuple: nobody writes that.
        values = [m.value for m in hint if isinstance(m.value, (int, str)) and "." not in str(m.value)]
        return ["lit", *dict.fromkeys([*hint.__members__, *values])]
    if origin in (list, set, frozenset) or hint in (list, set, frozenset):
        return ["list", shape(args[0], seen) if args else "any"]
    if origin is tuple:
        return ["list", shape(args[0], seen)] if args[1:] == (...,) else ["tuple", *(shape(a, seen) for a in args)]
    if origin is dict or hint is dict:
        return ["dict", *(shape(a, seen) for a in args)] if args else ["dict", "any", "any"]
    return "any"


def bounds(metadata: list[Any]) -> dict[str, Any]:
    found = {}
    for item in metadata:
        for key in BOUNDS:
            value = getattr(item, key, None)
            if value is not None:
                found[key] = value
    return found


def validator_of(cls: type) -> Any:
    """The class's own field validation, without the code that runs on a finished object (it may look for a model)."""
    from pydantic_core import SchemaValidator

    schema = getattr(cls, "__pydantic_core_schema__", None)
    definitions: list[Any] = []
    while isinstance(schema, dict) and schema.get("type") != "dataclass-args":
        definitions += schema.get("definitions", [])
        schema = schema.get("schema")
    if not isinstance(schema, dict):
        return None
    return SchemaValidator(
        {"type": "definitions", "schema": schema, "definitions": definitions} if definitions else schema
    )


def verdict(validator: Any, name: str, value: Any) -> bool:
    """Whether the real class takes this value in this field, whatever it then says of the fields that are missing."""
    from pydantic import ValidationError

    try:
        validator.validate_python({name: value})
    except ValidationError as error:
        return not any(e["loc"][:1] == (name,) for e in error.errors())
    except Exception:
        return False  # such as the KeyError of an unknown cudagraph_mode
    return True


def words_of(form: Any) -> list[Any]:
    return [w for f in (form[1:] if form[0] == "|" else [form]) if f[0] == "lit" for w in f[1:]]


def only_taken(validator: Any, name: str, form: Any) -> Any:
    """The form with just those words that the class's own validators take: names or values of an enum, seldom both."""
    if form[0] == "|":
        return ["|", *(only_taken(validator, name, f) for f in form[1:])]
    if form[0] != "lit":
        return form
    return ["lit", *(w for w in form[1:] if verdict(validator, name, w))]


def looseness(validator: Any, name: str, form: Any) -> list[str]:
    """How far the class's own validators widen a type: any case, dashes, numbers as text, auto, null, any word."""
    parts = form[1:] if form[0] == "|" else [form]
    nullable = ["null"] if "none" not in parts and "any" not in parts and verdict(validator, name, None) else []
    if "any" in parts or "str" in parts:
        return nullable
    words = [w for w in words_of(form) if isinstance(w, str)]
    found = nullable
    cased = [w.swapcase() for w in words if w.swapcase() not in words]
    dashed = [w.replace("_", "-") for w in words if "_" in w]
    if cased and all(verdict(validator, name, w) for w in cased):
        found.append("case")
    if dashed and all(verdict(validator, name, w) for w in dashed):
        found.append("dash")
    whole = [w for w in words_of(form) if isinstance(w, int) and not isinstance(w, bool)]
    if whole and all(verdict(validator, name, str(w)) for w in whole):
        found.append("text")
    if words and "auto" not in words and verdict(validator, name, "auto"):
        found.append("auto")
    if verdict(validator, name, PROBE_WORD):
        found.append("any")
    return found


def read_field(cls: type, name: str, info: Any, seen: dict[str, type]) -> dict[str, Any]:
    """A field's type, limits and looseness, as its own class validates it."""
    from pydantic import SkipValidation

    skipped = any(isinstance(m, SkipValidation) for m in info.metadata)
    form = "any" if skipped else shape(info.annotation, seen)
    entry: dict[str, Any] = {}
    if limits := bounds(info.metadata):
        entry["bounds"] = limits
    validator = validator_of(cls)
    if validator is not None:
        if loose := looseness(validator, name, form):
            entry["loose"] = loose
        form = only_taken(validator, name, form)
    return {"type": form, **entry}


def nested(roots: list[type]) -> dict[str, dict[str, Any]]:
    todo, done = {c.__name__: c for c in roots}, {}
    while todo:
        name, cls = todo.popitem()
        seen: dict[str, type] = {}
        infos = getattr(cls, "__pydantic_fields__", {})
        table: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            info = infos.get(field.name)
            if not field.init or (infos and (info is None or info.init is False)):
                continue
            entry = read_field(cls, field.name, info, seen) if info else {"type": "any"}
            default = plain(info.default) if info else plain(field.default)
            if default is not ...:
                entry["default"] = default
            table[field.name] = entry
        done[name] = table
        todo.update({n: c for n, c in seen.items() if n not in done})
    return done


def landing(cls: type, name: str, has_choices: bool) -> dict[str, Any] | None:
    """What the field behind an option asks beyond what the option's own parser does."""
    info = getattr(cls, "__pydantic_fields__", {}).get(name)
    if info is None:
        return None
    entry = read_field(cls, name, info, {})
    if "bounds" not in entry and (has_choices or '["lit"' not in json.dumps(entry["type"])):
        return None
    return {**entry, "in": f"{cls.__name__}.{name}"}
