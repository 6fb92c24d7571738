"""The cascade: a config's values and the rules, settled name by name, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dsv4_launch.catalog.rules import Rule, applies, rules
from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.types import Notice

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One settled value: what, why it has it, where that was said, and whether the config itself says so."""

    value: Any
    why: str
    source: str
    explicit: bool = False


Settings = Mapping[str, Setting]

_OFFLINE = "the weights are pulled on the host first, so that a start never depends on the Hub"
_TABLES = ("parallel", "server", "container", "start", "engine")


def written(config: LaunchConfig, where: Callable[[Path], str]) -> dict[str, Setting]:
    """Every value of a config by its path, defaults of our own schema included. An explicit null is left out."""
    settled: dict[str, Setting] = {"gpus": _setting(config, ("gpus",), config.gpus, where)}
    for table in _TABLES:
        part = getattr(config, table)
        # Arguments that pass through keep the order that the config gives them (a field set has none).
        for name in (*type(part).model_fields, *(part.model_extra or ())):
            value = getattr(part, name)
            if value is not None:
                settled[f"{table}.{name}"] = _setting(part, (table, name), value, where)
    for name, value in config.env.items():
        settled[f"env.{name}"] = _setting(config, ("env", name), value, where)
    if config.hub.offline:
        # What the config's own env says stands: an operator may turn the Hub on for one start.
        settled.setdefault("env.HF_HUB_OFFLINE", Setting("1", _OFFLINE, where(("hub", "offline"))))
    return settled


def _setting(part: Any, path: Path, value: Any, where: Callable[[Path], str]) -> Setting:
    if path[0] == "env" or path[-1] in part.model_fields_set:
        return Setting(_plain(value), "the config says so", where(path), explicit=True)
    return Setting(_plain(value), "default of the config", "")


def _plain(value: Any) -> Any:
    """Nested config tables as plain data, without what was not set."""
    # Not model_dump: pydantic would build a serializer of each such table for it.
    is_table = hasattr(value, "model_fields_set")
    return {name: item for name, item in value if name in value.model_fields_set} if is_table else value


def settle(
    settled: dict[str, Setting], facts: Mapping[str, str], values: Mapping[str, Any]
) -> tuple[dict[str, Setting], tuple[Notice, ...]]:
    """Apply every rule that matches the facts, in order. ``values`` are what ``$path`` may take besides settings."""
    settled = dict(settled)
    notices: dict[str, Notice] = {}
    for rule in rules():
        if not applies(rule.when, facts):
            continue
        for name, value in rule.default.items():
            old = _standing(settled, name)
            if old is None or not old.explicit:
                _put(settled, name, _taken(value, settled, values), rule)
        for name, value in rule.set.items():
            new = _taken(value, settled, values)
            _note(notices, _standing(settled, name), name, new, rule)
            _put(settled, name, new, rule)
        for name in rule.drop:
            for gone in [n for n in settled if n == name or n.startswith(f"{name}.")]:
                _note(notices, settled[gone], gone, None, rule)
                del settled[gone]
    return settled, tuple(notices.values())


def _table_of(settled: Settings, name: str) -> tuple[str, str]:
    """The settled table that a dotted name lies in, and its key there; ("", "") when it stands for itself.

    vLLM takes a table in JSON or its keys one by one (``--x.key=value``), not both: the later one replaces the other.
    """
    table, _, key = name.rpartition(".")
    return (table, key) if table in settled and isinstance(settled[table].value, Mapping) else ("", "")


def _standing(settled: Settings, name: str) -> Setting | None:
    """What a name has now, also when it is a key of a settled table."""
    table, key = _table_of(settled, name)
    if not table:
        return settled.get(name)
    whole = settled[table]
    return replace(whole, value=whole.value[key]) if key in whole.value else None


def _put(settled: dict[str, Setting], name: str, value: Any, rule: Rule) -> None:
    table, key = _table_of(settled, name)
    if not table:
        settled[name] = Setting(value, rule.why, rule.source)
        return
    whole = settled[table]
    settled[table] = replace(whole, value={**whole.value, key: value}, why=f"{whole.why}; {key}: {rule.why}")


def _note(notices: dict[str, Notice], old: Setting | None, name: str, new: Any, rule: Rule) -> None:
    if old is None or not old.explicit or old.value == new:
        return
    outcome = "left out" if new is None else f"{new} instead of {old.value}"
    notices[name] = Notice("override", f"{name}: {outcome}", rule.why, old.source)


def _taken(value: Any, settled: Settings, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith("$"):
        name = value[1:]
        return values[name] if name in values else settled[name].value
    return value
