"""A good host, and for each check the fault that it must find on it."""

import json
from pathlib import Path
from typing import Any

from dsv4_launch.facts import HostFacts

HERE = Path(__file__).parent
GOOD = "good-8xb200.json"
CODES = sorted(path.stem for path in HERE.glob("*.json") if path.name != GOOD)


def good_host(changes: dict[str, Any] | None = None) -> HostFacts:
    """The good host with some of its facts changed: dotted path to new value, `*` for every item of a list."""
    data = json.loads((HERE / GOOD).read_text())
    for path, value in (changes or {}).items():
        _set(data, path.split("."), value)
    return HostFacts.from_json(json.dumps(data), GOOD)


def fault(code: str) -> dict[str, Any]:
    """The fault that a check must find: `fault` in words, the `plan`, what to `set`, and part of the `message`."""
    found: dict[str, Any] = json.loads((HERE / f"{code}.json").read_text())
    return found


def _set(data: Any, path: list[str], value: Any) -> None:
    key, rest = path[0], path[1:]
    if key == "*":
        for index in range(len(data)):
            _set(data, [str(index), *rest], value)
        return
    place = int(key) if isinstance(data, list) else key
    if rest:
        _set(data[place], rest, value)
    else:
        data[place]  # a path that does not exist yet is a spelling mistake
        data[place] = value
