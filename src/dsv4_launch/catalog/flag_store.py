"""How flag tables lie on disk: the oldest release whole, each later one as what it changes of the release before.

A release is three flat sections, ``flags`` (by destination), ``fields`` (by ``Class.field``) and ``env`` (by variable).
A later release's file is thus also the list of what changed in it, one entry a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from dsv4_launch.catalog.version import release_tuple

Table: TypeAlias = dict[str, dict[str, Any]]
SECTIONS = ("flags", "fields", "env")

order = release_tuple


def decode(version: str, read: Callable[[str], Mapping[str, Any]]) -> Table:
    """The whole table of a release; ``read`` gives a release's stored form."""
    chain = []
    step: str | None = version
    while step is not None:
        stored = read(step)
        chain.append(stored)
        step = stored["base"]
    table: Table = {section: {} for section in SECTIONS}
    for stored in reversed(chain):
        for section in SECTIONS:
            change = stored[section]
            for name in change["drop"]:
                del table[section][name]
            table[section].update(change["set"])
    return table


def encode(tables: Mapping[str, Table]) -> dict[str, str]:
    """The stored text of every release. Equal tables give equal bytes, whatever order they were added in."""
    texts: dict[str, str] = {}
    base: str | None = None
    for version in sorted(tables, key=order):
        before = tables[base] if base else {section: {} for section in SECTIONS}
        parts = [f'"base": {json.dumps(base)}']
        for section in SECTIONS:
            now, was = tables[version][section], before[section]
            changed = {name: now[name] for name in sorted(now) if name not in was or was[name] != now[name]}
            parts.append(f'"{section}": ' + _section(sorted(set(was) - set(now)), changed))
        texts[version] = "{\n" + ",\n".join(parts) + "\n}\n"
        base = version
    return texts


def _section(drop: list[str], changed: Mapping[str, Any]) -> str:
    lines = [f"{json.dumps(name)}: {_line(entry)}" for name, entry in changed.items()]
    body = "{\n  " + ",\n  ".join(lines) + "}" if lines else "{}"
    return f'{{"drop": {json.dumps(drop)}, "set": {body}}}'


def _line(entry: Any) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
