"""Whether a config class of a release takes a value: pydantic's lax mode, with the class's own widenings and limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dsv4_launch.catalog.flag_table import Field, FieldType
from dsv4_launch.values import listed, nearest

_TRUTH = {"0", "off", "f", "false", "n", "no", "1", "on", "t", "true", "y", "yes"}
_BOUND_TEXT = {
    "gt": "greater than",
    "ge": "at least",
    "lt": "less than",
    "le": "at most",
    "multiple_of": "a multiple of",
}
_SHOWN = 30  # more choices than this are not listed in a sentence


def class_reason(
    cls: str, value: Mapping[str, Any], nested: Mapping[str, Mapping[str, Field]], path: str
) -> str | None:
    """Why a config class does not take a mapping, with the nearest name for an unknown field; None when it does."""
    fields = nested.get(cls, {})
    for name, item in value.items():
        if name not in fields:
            meant = nearest(name, fields)
            hint = f"did you mean {path}{meant}?" if meant else f"it has {listed(sorted(fields))}."
            return f"{cls} has no field {path}{name}; {hint}"
        reason = field_reason(fields[name], item, nested, f"{path}{name}")
        if reason:
            return reason
    return None


def field_reason(field: Field, value: Any, nested: Mapping[str, Mapping[str, Field]], path: str = "") -> str | None:
    """Why a config field does not take a value; None when it does."""
    start = f"{path}: " if path else ""
    if isinstance(value, str) and ("any" in field.loose or ("auto" in field.loose and value.lower() == "auto")):
        return None
    if value is None and "null" in field.loose:
        return None
    reason = type_reason(field.type, meant_word(value, field.loose, field.choices), nested, path)
    if reason:
        return reason if path and reason.startswith(path) else start + reason
    number = as_float(value) if not isinstance(value, bool) else None
    size = len(value) if isinstance(value, str | list | tuple | Mapping) else None
    for bound, limit in field.bounds.items():
        if number is not None and not _holds(bound, number, limit):
            return f"{start}{shown(value)} is not {_BOUND_TEXT.get(bound, bound)} {limit}."
        if size is not None and bound == "min_length" and size < limit:
            return f"{start}it must have at least {limit} items, not {size}."
        if size is not None and bound == "max_length" and size > limit:
            return f"{start}it must have at most {limit} items, not {size}."
    return None


def type_reason(
    form: FieldType, value: Any, nested: Mapping[str, Mapping[str, Field]] | None = None, path: str = ""
) -> str | None:
    """Why pydantic does not take a value for a type; None when it does."""
    nested = nested or {}
    match form:
        case "any":
            return None
        case str():
            return None if _scalar_fits(form, value) else f"{shown(value)} is not {_NAMES[form]}."
        case ("|", *parts):
            reasons = [type_reason(part, value, nested, path) for part in parts]
            return None if None in reasons else _best(reasons, parts, value)
        case ("lit", *words):
            return None if any(value == w and type(value) is type(w) for w in words) else not_one_of(value, words)
        case ("cls", str(cls)):
            if not isinstance(value, Mapping):
                return f"{shown(value)} is not a mapping with fields of {cls}."
            return class_reason(cls, value, nested, f"{path}." if path else "")
        case ("list", item):
            if not isinstance(value, list | tuple):
                return f"{shown(value)} is not a list."
            return next((r for v in value if (r := type_reason(item, v, nested, path))), None)
        case ("dict", keys, values):
            if not isinstance(value, Mapping):
                return f"{shown(value)} is not a mapping."
            both = [(keys, k) for k in value] + [(values, v) for v in value.values()]
            return next((r for f, v in both if (r := type_reason(f, v, nested, path))), None)
        case ("tuple", *items):
            if not isinstance(value, list | tuple) or len(value) != len(items):
                return f"{shown(value)} is not a list of {len(items)}."
            pairs = zip(items, value, strict=True)
            return next((r for f, v in pairs if (r := type_reason(f, v, nested, path))), None)
    return None


_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "none": "null",
}


def _best(reasons: list[str | None], parts: list[FieldType], value: Any) -> str:
    """Of the refusals of a union the one that helps: of the mapping for a mapping, of the words for a word."""
    wanted = ("cls", "dict") if isinstance(value, Mapping) else ("list",) if isinstance(value, list) else ("lit",)
    named = [r for r, p in zip(reasons, parts, strict=True) if r and p[0] in wanted]
    simple = [_NAMES[p] for p in parts if isinstance(p, str) and p != "none"]
    if named:
        return named[0]
    return f"{shown(value)} is not {listed(simple)}." if simple else str(next(r for r in reasons if r))


def _scalar_fits(form: str, value: Any) -> bool:
    """pydantic's lax conversions: https://docs.pydantic.dev/latest/concepts/conversion_table/"""
    if form == "none":
        return value is None
    if form == "str":
        return isinstance(value, str)
    if form == "bool":
        return isinstance(value, bool) or str(value).lower() in _TRUTH or value in (0.0, 1.0)
    if isinstance(value, bool):
        return True
    if form == "float":
        return as_float(value) is not None
    number = as_float(value)
    return number is not None and number.is_integer()


def meant_word(value: Any, loose: Iterable[str], words: Iterable[Any]) -> Any:
    """The listed word that a loose spelling stands for: in another case, with dashes; else the value as it is."""
    if not loose or not isinstance(value, str):
        return value
    named = {_folded(str(w) if "text" in loose else w, loose): w for w in words}
    return named.get(_folded(value, loose), value)


def _folded(word: Any, loose: Iterable[str]) -> Any:
    if isinstance(word, str) and "case" in loose:
        word = word.lower()
    return word.replace("-", "_") if isinstance(word, str) and "dash" in loose else word


def not_one_of(value: Any, words: Iterable[Any]) -> str:
    """The sentence for a word that is not listed."""
    names = [str(w) for w in words]
    meant = nearest(str(value), names)
    hint = f" Did you mean {meant}?" if meant else ""
    if len(names) > _SHOWN:
        return f"{shown(value)} is none of its {len(names)} words.{hint}"
    return f"{shown(value)} is not {listed(names)}.{hint}"


def _holds(bound: str, number: float, limit: float) -> bool:
    match bound:
        case "gt":
            return number > limit
        case "ge":
            return number >= limit
        case "lt":
            return number < limit
        case "le":
            return number <= limit
        case "multiple_of":
            return number % limit == 0
    return True


def as_float(value: Any) -> float | None:
    """A number, or text that is one; else None."""
    if not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def shown(value: Any) -> str:
    """A value as a sentence shows it: JSON, cut when long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
