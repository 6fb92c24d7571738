"""The flag table of every vLLM release: package data that ``scripts/snapshot_flags.py`` took from the release itself.

A config may name an option with underscores, dashes or a dot (``attention_config.backend``): ``FlagTable.find``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dsv4_launch.catalog.flag_store import decode
from dsv4_launch.catalog.flag_table import NO_DEFAULT, Field, FieldType, Flag, FlagTable, Lazy, Variable
from dsv4_launch.catalog.flag_values import as_argv, check_value
from dsv4_launch.catalog.read import DATA
from dsv4_launch.catalog.version import nearest_release, release_tuple
from dsv4_launch.errors import ImpossibleError
from dsv4_launch.values import nearest

__all__ = [
    "NO_DEFAULT",
    "CatalogError",
    "Field",
    "FieldType",
    "Flag",
    "FlagTable",
    "Variable",
    "as_argv",
    "check_value",
    "flag_table",
    "nearest",
    "nearest_version",
    "versions",
]

_TABLES = DATA / "vllm"


class CatalogError(ImpossibleError, KeyError):
    """The catalog has no table for this release."""

    default_code = "version-unknown"


@lru_cache
def versions() -> tuple[str, ...]:
    """The releases that have a table, oldest first."""
    return tuple(sorted((path.stem for path in _TABLES.glob("*.json")), key=release_tuple))


def nearest_version(version: str) -> tuple[str, bool]:
    """The release whose table holds for ``version``, custom builds included, and whether it is that very release."""
    return nearest_release(version, versions())


@lru_cache
def flag_table(version: str) -> FlagTable:
    """The table of one release. Raises CatalogError, naming the nearest release, when there is none."""
    if version not in versions():
        near, _ = nearest_version(version)
        raise CatalogError(
            f"There is no flag table for vLLM {version}.",
            fix=f"The nearest release that has one is {near}; there are {', '.join(versions())}.",
        )
    table = decode(version, _stored)
    raw: dict[str, dict[str, Any]] = {}
    for path, entry in table["fields"].items():
        cls, name = path.split(".", 1)
        raw.setdefault(cls, {})[name] = entry
    classes = Lazy(raw, lambda _, fields: {name: _field(name, entry) for name, entry in fields.items()})
    stored = dict(sorted(table["flags"].items()))
    return FlagTable(
        version,
        by_dest=Lazy(stored, lambda dest, entry: _flag(dest, entry, classes)),
        classes=classes,
        env=Lazy(table["env"], _variable),
        spellings={spelling: dest for dest, entry in stored.items() for spelling in entry["flags"]},
        defaults={
            dest: entry["default"]
            for dest, entry in stored.items()
            if isinstance(entry.get("default"), bool | int | float | str)
        },
    )


@lru_cache
def _stored(version: str) -> Mapping[str, Any]:
    stored: Mapping[str, Any] = json.loads((_TABLES / f"{version}.json").read_text("utf-8"))
    return stored


def _flag(dest: str, entry: Mapping[str, Any], classes: Mapping[str, Mapping[str, Field]]) -> Flag:
    place = entry.get("lands_in")
    return Flag(
        dest=dest,
        flags=tuple(entry["flags"]),
        kind=entry["kind"],
        nargs=entry.get("nargs"),
        choices=_frozen(entry["choices"]) if "choices" in entry else None,
        default=_frozen(entry.get("default", NO_DEFAULT)),
        deprecated=entry.get("deprecated", False),
        group=entry.get("group", ""),
        config=entry.get("config"),
        negative=tuple(entry.get("negative", ())),
        optional=entry.get("optional", False),
        known=_frozen(entry.get("known", ())),
        loose=tuple(entry.get("loose", ())),
        const=entry.get("const"),
        required=entry.get("required", False),
        lands_in=_field(place["in"], place) if place else None,
        nested=classes,
    )


def _variable(name: str, entry: Mapping[str, Any]) -> Variable:
    return Variable(name, entry.get("type", ""), _frozen(entry.get("default", NO_DEFAULT)))


def _field(name: str, entry: Mapping[str, Any]) -> Field:
    default = _frozen(entry.get("default", NO_DEFAULT))
    return Field(name, _frozen(entry["type"]), entry.get("bounds", {}), tuple(entry.get("loose", ())), default)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
