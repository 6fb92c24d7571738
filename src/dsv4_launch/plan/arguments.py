"""Settled engine values as words of vLLM's command line, checked against the flag table of the release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dsv4_launch.catalog.flags import Flag, FlagTable, as_argv, check_value, flag_table, versions
from dsv4_launch.catalog.reference import argument_order
from dsv4_launch.config.model import RENAMED
from dsv4_launch.errors import Problem
from dsv4_launch.plan.argv.numbers import number
from dsv4_launch.plan.settings import Setting, Settings
from dsv4_launch.plan.types import Argument
from dsv4_launch.values import nearest

Path = tuple[str | int, ...]
Where = Callable[[Path], str]

# The neutral fields that rules turn into a release's own flags.
NEUTRAL = frozenset({"indexer_cache_dtype"})

PARALLEL = {
    "parallel.tensor": "tensor_parallel_size",
    "parallel.pipeline": "pipeline_parallel_size",
    "parallel.data": "data_parallel_size",
    "parallel.expert": "enable_expert_parallel",
}
_SECRET_ARGUMENTS = frozenset({"api_key", "hf_token"})


def arguments(settled: Settings, table: FlagTable, where: Where) -> tuple[tuple[Argument, ...], list[Problem]]:
    """Every argument in the documented order, and what the release would refuse (code ``flag-*``)."""
    found: list[Argument] = []
    problems: list[Problem] = []
    for name, path, setting in _named(settled):
        problem = _misplaced(name, where(path)) if path[0] == "engine" else None
        problem = problem or _unknown(name, table, where(path)) or _refused(name, setting, table, where(path))
        if problem is not None:
            problems.append(problem)
            continue
        words = words_of(name, setting.value, table)
        found.append(Argument(name, setting.value, words, setting.why, setting.source))
    order = argument_order()
    found.sort(key=lambda argument: order.get(argument.name, len(order)))
    return tuple(found), problems


def _named(settled: Settings) -> list[tuple[str, Path, Setting]]:
    """vLLM's argument names with path and setting: the layout, the served name, then the engine's own."""
    named = [
        (dest, _path(name), settled[name]) for name, dest in PARALLEL.items() if _says_something(settled[name].value)
    ]
    if "server.served_model_name" in settled:
        named.append(("served_model_name", _path("server.served_model_name"), settled["server.served_model_name"]))
    engine = [(name.removeprefix("engine."), s) for name, s in settled.items() if name.startswith("engine.")]
    return named + [(name, _path(f"engine.{name}"), s) for name, s in engine if name not in NEUTRAL]


def _path(name: str) -> Path:
    table, _, rest = name.partition(".")
    return (table, rest)


def _says_something(size: int | bool) -> bool:
    """False for a layout of one rank, and for no expert parallel: vLLM's own defaults."""
    return size if isinstance(size, bool) else size > 1


def words_of(name: str, value: Any, table: FlagTable) -> tuple[str, ...]:
    """The words that set one argument on the release's command line."""
    dest, dot, key = _dest(name).partition(".")
    if dot:
        return (f"--{dest}.{key}={_text(value)}",)
    if isinstance(value, float):
        value = number(value)
    return as_argv(table.by_dest[dest], value)


def _text(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _dest(name: str) -> str:
    dest, dot, key = name.partition(".")
    return dest.replace("-", "_") + dot + key


def _misplaced(name: str, where: str) -> Problem | None:
    dest = _dest(name).split(".")[0]
    if dest in _SECRET_ARGUMENTS:
        return Problem(
            "secret-in-config",
            f"engine.{dest} would put a secret into a config and on a command line.",
            where,
            f"Name the variable that holds it: {RENAMED[dest]}.",
        )
    if dest in RENAMED:
        return Problem("flag-misplaced", f"engine.{name} has a field of its own.", where, f"Use {RENAMED[dest]}.")
    return None


def _unknown(name: str, table: FlagTable, where: str) -> Problem | None:
    dest = _dest(name).split(".")[0]
    if dest in table.by_dest:
        return None
    others = [version for version in versions() if dest in flag_table(version).by_dest]
    if others:
        span = others[0] if len(others) == 1 else f"{others[0]} to {others[-1]}"
        return Problem(
            "flag-not-in-release",
            f"vLLM {table.version} has no {name}; releases {span} have it.",
            where,
            "Leave it out, or choose a release that has it.",
        )
    meant = nearest(dest, table.by_dest)
    fix = f"Did you mean {meant}?" if meant else "`dsv4 schema` and vLLM's `vllm serve --help=all` list what there is."
    return Problem("flag-unknown", f"No vLLM release has an argument {name}.", where, fix)


def _refused(name: str, setting: Setting, table: FlagTable, where: str) -> Problem | None:
    dest, dot, key = _dest(name).partition(".")
    flag: Flag = table.by_dest[dest]
    value: Any = {key: setting.value} if dot else setting.value
    reason = check_value(flag, _lists(value))
    if reason is None:
        return None
    return Problem("flag-value", f"engine.{name}: {reason}", where, setting.why if not setting.explicit else "")


def _lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple | list) else value
