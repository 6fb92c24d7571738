"""A pydantic error in the operator's words: the path, the wrong value, the nearest right name, what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from dsv4_launch.config import model, targets, watch
from dsv4_launch.errors import Problem
from dsv4_launch.values import listed, nearest

Path = tuple[str | int, ...]

_TABLES: Mapping[str, type[BaseModel]] = {
    "": model.LaunchConfig,
    "model": model.Model,
    "parallel": model.Parallel,
    "server": model.Server,
    "container": model.Container,
    "container.mounts": model.Mount,
    "secrets": model.Secrets,
    "hub": model.Hub,
    "start": model.Start,
    "watch": watch.Watch,
    "watch.on_failure": watch.OnFailure,
}
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "mapping_type": "a table",
    "dict_type": "a table",
}


def problems_of(error: ValidationError, data: Any, where: Callable[[Path], str]) -> list[Problem]:
    """One problem a field. Branches of a union are told together."""
    by_path: dict[Path, list[Any]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        by_path.setdefault(_field_path(detail["loc"], data), []).append(detail)
    inner = {path[:end] for path in by_path for end in range(len(path))}
    # A union says both "not `all`" and "item 1 is wrong": the deeper one is what the operator can mend.
    told = [path for path in by_path if path not in inner or by_path[path][0]["type"] in {"extra_forbidden", "missing"}]
    return [_problem(path, by_path[path], data, where) for path in told]


def wrong_paths(error: ValidationError, data: Any) -> list[Path]:
    """The paths of the fields that an error is about, missing ones left out."""
    details = error.errors(include_url=False, include_input=False)
    return list(dict.fromkeys(_field_path(d["loc"], data) for d in details if d["type"] != "missing"))


def _field_path(loc: tuple[str | int, ...], data: Any) -> Path:
    """The part of a pydantic location that is in the data; union branches and validators are not."""
    path: list[str | int] = []
    for n, step in enumerate(loc):
        if _holds(data, step):
            data = data[step]
            path.append(step)
        elif isinstance(data, Mapping) and n == len(loc) - 1:
            return (*path, step)  # a missing field, or a bad key
    return tuple(path)


def _problem(path: Path, details: list[Any], data: Any, where: Callable[[Path], str]) -> Problem:
    name = ".".join(map(str, path)) or "the config"
    first = details[0]
    kind, context = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path, data, where)
    if kind == "missing":
        return Problem("input", f"{name} is missing.", where(path[:-1]), _describe(path))
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        allowed = listed(_unquoted(context.get("expected_tags", "'docker', 'native'")).split(", "))
        return Problem(
            "input", f"{name}.type must be {allowed}.", where((*path, "type")), f"Write `{name}: {{type: …}}`."
        )
    value = _value_at(data, path)
    if kind == "invalid_key" or "[key]" in first["loc"]:
        return Problem("input", f"{name} is not a name that is allowed there.", where(path))
    allowed = listed(dict.fromkeys(_allowed(detail) for detail in details))
    verb = "must" if allowed.startswith("have ") else "must be"
    return Problem(
        "input", f"{name} is {_shown(value, path)}; it {verb} {allowed}.", where(path), _fix(path, value, details)
    )


def _allowed(detail: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind == "literal_error":
        return _unquoted(context["expected"])
    if kind == "string_pattern_mismatch":
        return model.FORMS.get(context["pattern"], f"text of the form {context['pattern']}")
    if kind.startswith(("greater_than", "less_than")):
        return {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}"}[
            next(iter(context))
        ].format(next(iter(context.values())))
    return str(detail["msg"]).removeprefix("Input should be ").removeprefix("String should ")


def _fix(path: Path, value: Any, details: list[Any]) -> str:
    if path == ("vllm",) and isinstance(value, int | float) and not isinstance(value, bool):
        return 'Quote it, in full, as in vllm: "0.20.0": YAML reads 0.20 as the number 0.2.'
    for detail in details:
        if detail["type"] == "literal_error" and isinstance(value, str):
            near = nearest(value, _unquoted(detail["ctx"]["expected"]).replace(" or ", ", ").split(", "))
            if near:
                return f"Did you mean {near}?"
    if any(detail["type"] == "string_type" for detail in details) and isinstance(value, int | float | bool):
        return f'Quote it: "{value}".'
    if isinstance(value, str) and any(detail["type"] in {"int_type", "float_type"} for detail in details):
        return "Write the number without quotes." if value.replace(".", "", 1).isdigit() else _describe(path)
    return _describe(path)


def _unknown_key(path: Path, data: Any, where: Callable[[Path], str]) -> Problem:
    names = sorted(_names(path[:-1], data))
    table = ".".join(str(step) for step in path[:-1] if not isinstance(step, int)) or "a config"
    meant = _elsewhere(str(path[-1])) or nearest(str(path[-1]), names)
    fix = f"Did you mean {meant}? " if meant else ""
    return Problem("input", f"{table} has no field {path[-1]!r}.", where(path), f"{fix}Allowed: {', '.join(names)}.")


def _names(path: Path, data: Any) -> list[str]:
    key = ".".join(str(step) for step in path if not isinstance(step, int))
    if key == "target":
        kind = _value_at(data, ("target", "type"))
        return list((targets.NativeTarget if kind == "native" else targets.DockerTarget).model_fields)
    table = _TABLES.get(key)
    return list(table.model_fields) if table else []


def _elsewhere(name: str) -> str:
    """The right place of a field that stands in the wrong table."""
    wanted = name.replace("-", "_")
    if wanted in model.RENAMED:
        return model.RENAMED[wanted]
    tables: dict[str, type[BaseModel]] = {**_TABLES, "engine": model.Engine, "target": targets.DockerTarget}
    return next((f"{key}.{wanted}".lstrip(".") for key, table in tables.items() if wanted in table.model_fields), "")


def _describe(path: Path) -> str:
    """The description of a field, as help."""
    tables: dict[str, type[BaseModel]] = {**_TABLES, "engine": model.Engine}
    table = tables.get(".".join(map(str, path[:-1])))
    if table is None or not path or path[-1] not in table.model_fields:
        return ""
    return table.model_fields[str(path[-1])].description or ""


def _value_at(data: Any, path: Path) -> Any:
    for step in path:
        if not _holds(data, step):
            return None
        data = data[step]
    return data


def _holds(data: Any, step: str | int) -> bool:
    if isinstance(data, tuple | list):
        return isinstance(step, int) and step < len(data)
    return isinstance(data, Mapping) and step in data


def _shown(value: Any, path: Path) -> str:
    if path[:1] in {("secrets",), ("env",)} and isinstance(value, str):
        return "a text that is not shown here"  # someone may have pasted the secret itself
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, tuple | list):
        return "a list"
    if value is None:
        return "empty"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "…"


def _unquoted(text: str) -> str:
    return text.replace("'", "")
