"""A good host, and for each check the faults that it must find on it: `CODE.json`, or `CODE.variant.json`."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from dsv4_launch.facts import HostFacts

HERE = Path(__file__).parent
SHIPPED = files("dsv4_launch.catalog.data").joinpath("hosts")
# What the tests' other plans need beside what the shipped good node has: a rehearsal, a native vLLM, the network.
EXTRA = "good-extra.json"
FAULTS = sorted(path.stem for path in HERE.glob("*.json") if path.name != EXTRA)
CODES = sorted({name.partition(".")[0] for name in FAULTS})


def good_host(changes: dict[str, Any] | None = None) -> HostFacts:
    """The good host with some of its facts changed: dotted path to new value, `*` for every item of a list."""
    data = _merged(json.loads(SHIPPED.joinpath("hgx-b200.json").read_text()), json.loads((HERE / EXTRA).read_text()))
    for path, value in (changes or {}).items():
        _set(data, path.split("."), value)
    return HostFacts.from_json(json.dumps(data), "good host")


def fault(name: str) -> dict[str, Any]:
    """The fault that a check must find: `fault` in words, the `plan`, what to `set`, and part of the `message`."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def _merged(base: Any, extra: Any) -> Any:
    if isinstance(base, dict) and isinstance(extra, dict):
        return {**base, **{key: _merged(base.get(key), value) for key, value in extra.items()}}
    return extra


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
