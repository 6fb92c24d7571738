"""What `vllm serve` refuses of a command line whose every word its parser takes.

Its own checks of the arguments and its engine configuration, before anything is loaded; as data in
``catalog/data/serve_checks.toml``. Source: validate_parsed_serve_args and AsyncEngineArgs.create_engine_config of
https://github.com/vllm-project/vllm, each release's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dsv4_launch.catalog.field_values import not_one_of, shown, type_reason
from dsv4_launch.catalog.flag_table import FlagTable
from dsv4_launch.catalog.serve_checks import ServeCheck, registered, serve_checks
from dsv4_launch.plan.argv.parsed import Given, Parsed, Refusal
from dsv4_launch.plan.argv.values import values_of
from dsv4_launch.plan.conditions import given_holds, must_holds

GPUS_OF_A_NODE = 8


def check(parsed: Parsed, table: FlagTable, gpus: int = GPUS_OF_A_NODE) -> tuple[Refusal, ...]:
    """Everything that the release refuses of a command line that it can read; nothing of one that it cannot."""
    if any(refusal.code != "field-refused" for refusal in parsed.refusals):
        return ()
    values = values_of(parsed, table, gpus)
    # What is not there breaks only `present`: that is so of most, and asked first.
    asked = (row for row in serve_checks(table.version) if row.name in values or "present" in row.must)
    found = [_refusal(row, values, parsed.given) for row in asked if _broken(row, values)]
    return (*found, *_unknown_names(values, table, parsed.given))


def _broken(row: ServeCheck, values: Mapping[str, Any]) -> bool:
    if not given_holds(row.given, values):
        return False
    value = values.get(row.name)
    for kind, wanted in row.must.items():
        own = _OWN_KINDS.get(kind)
        if own is not None:
            if value is not None and not own(wanted, value):
                return True
        elif kind == "divides" and value == 0:
            return True  # vLLM divides by it, and stops with that error
        elif not must_holds({kind: wanted}, value, values):
            return True
    return False


def _each_matches(wanted: str, value: Any) -> bool:
    items = value if isinstance(value, list | tuple) else (value,)
    return all(re.fullmatch(wanted, str(item), re.DOTALL) for item in items)


def _of_type(wanted: Any, value: Any) -> bool:
    return type_reason(_form(wanted), value) is None


def _form(data: Any) -> Any:
    return tuple(_form(item) for item in data) if isinstance(data, list) else data


def _each_value_matches(wanted: str, value: Any) -> bool:
    return not isinstance(value, Mapping) or _each_matches(wanted, list(value.values()))


_OWN_KINDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "each": _each_matches,
    "each_value": _each_value_matches,
    "each_key": lambda wanted, value: not isinstance(value, Mapping) or _each_matches(wanted, list(value)),
    "type": _of_type,
}


def _refusal(row: ServeCheck, values: Mapping[str, Any], given: Mapping[str, Given]) -> Refusal:
    names = [row.name, *row.given]
    dests = [name.split(".")[0] for name in names]
    words = [given[dest] for dest in dests if dest in given]
    at = tuple(dict.fromkeys(index for word in words for index in word.at))
    what = words[0].spelling if words else row.name
    value = values.get(row.name)
    said = f" {shown(value)}" if value is not None and "." not in row.name else ""
    code = "parser-check" if row.at_parser else row.code
    return Refusal(code, f"{what}{said if words and dests[0] in given else ''}: {row.why}.", what, at, row.fix)


def _unknown_names(values: Mapping[str, Any], table: FlagTable, given: Mapping[str, Given]) -> list[Refusal]:
    """Names that the release does not know, where it looks them up."""
    found = []
    for kind, dest, name in _parsers(values):
        names = registered(kind, table.version)
        if name not in names:
            found.append(_unknown("parser-unknown", given[dest], name, sorted(names)))
    for dest in ("kv_cache_dtype", "tokenizer_mode", "load_format"):
        known, value = table.by_dest[dest].known, values.get(dest)
        if known and dest in given and value not in known:
            found.append(_unknown("name-unknown", given[dest], value, known))
    return found


def _unknown(code: str, word: Given, name: Any, names: Any) -> Refusal:
    return Refusal(code, f"{word.spelling}: {not_one_of(name, names)}", word.spelling, word.at)


def _parsers(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Kind, destination and name of every parser that vLLM looks up; a plugin may bring more of them."""
    own = values.get("reasoning_parser")
    configured = values.get("derived.reasoning_config")
    structured = values.get("structured_outputs_config.reasoning_parser")
    if not values.get("reasoning_parser_plugin"):
        if own:
            yield "reasoning_parser", "reasoning_parser", own
        elif isinstance(configured, str):
            yield "reasoning_parser", "reasoning_config", configured
        elif structured:
            yield "reasoning_parser", "structured_outputs_config", structured
    tool = values.get("tool_call_parser")
    if tool and values.get("enable_auto_tool_choice") and not values.get("tool_parser_plugin"):
        yield "tool_call_parser", "tool_call_parser", tool
