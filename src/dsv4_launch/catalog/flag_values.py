"""Whether a release takes a value for an option, and the words that say it on its command line.

Values are typed, as YAML gives them. argparse is imitated here; what lies inside JSON, and the limits of the config
field where a value ends, are in ``field_values``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dsv4_launch.catalog.field_values import (
    as_float,
    class_reason,
    field_reason,
    meant_word,
    not_one_of,
    shown,
)
from dsv4_launch.catalog.flag_table import Field, Flag

_HUMAN = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")
_TABLE = re.compile(r"\s*\{.*\}\s*", re.DOTALL)
# Options whose parser reads any JSON; their class sees it later, and not when it is null.
READ_AS_JSON = {"speculative_config", "watermark_config", "diffusion_config"}
_LORA_FIELDS = {"name", "path", "base_model_name", "is_3d_lora_weight"}
_UNIT = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def check_value(flag: Flag, value: Any) -> str | None:
    """Why the release does not take ``value`` for this option; None when it does (``None`` means: not given)."""
    if value is None:
        return None
    if flag.kind in ("bool", "store_true"):
        return None if isinstance(value, bool) else f"{shown(value)} is not true or false."
    if flag.nargs == "?" and flag.const is not None and value is True:
        return None
    if flag.kind == "json" and flag.nargs is None:
        return _json_reason(flag, value)
    many = flag.nargs not in (None, "?") or flag.kind == "append"
    if isinstance(value, list | tuple):
        if not many:
            return f"It takes one value, not a list of {len(value)}."
        if isinstance(flag.nargs, int) and len(value) != flag.nargs:
            return f"It takes {flag.nargs} values, not {len(value)}."
        if not value and flag.nargs == "+":
            return "It takes at least one value."
        return next((reason for item in value if (reason := _one_reason(flag, item))), None)
    return _one_reason(flag, value)


def as_argv(flag: Flag, value: Any) -> tuple[str, ...]:
    """The words that set the option to a value that ``check_value`` takes; none for None or an unsayable False."""
    if value is None:
        return ()
    if flag.kind in ("bool", "store_true") or (value is True and flag.const is not None):
        if value:
            return (flag.name,)
        return (_negation(flag),) if flag.negative else ()
    items = list(value) if isinstance(value, list | tuple) else [value]
    if flag.kind == "json" and flag.nargs is None:
        items = [value]
    if not flag.flags:
        return tuple(_word(item) for item in items)
    if flag.kind == "append":
        return tuple(word for item in items for word in _pair(flag.name, _word(item)))
    if len(items) == 1:
        return _pair(flag.name, _word(items[0]))
    return (flag.name, *(_word(item) for item in items))


def human_int(text: str) -> int | None:
    """``64k`` as 64000, ``1M`` as 1048576; None when vLLM takes it for no whole number (``0.5M``).

    Source: https://github.com/vllm-project/vllm/blob/v0.20.0/vllm/engine/arg_utils.py, human_readable_int.
    """
    found = _HUMAN.fullmatch(text.strip())
    if found is None:
        return _int(text)
    digits, unit = found.groups()
    if unit.isupper():
        return int(digits) * _UNIT[unit] if "." not in digits else None
    return int(float(digits) * _UNIT[unit])


def _pair(name: str, word: str) -> tuple[str, ...]:
    # argparse takes a word that starts with a dash for an option, unless it is a number or joined by "=".
    dashed = word.startswith("-") and as_float(word) is None
    return (f"{name}={word}",) if dashed else (name, word)


def _negation(flag: Flag) -> str:
    return next((f for f in flag.negative if f.startswith("--no-")), flag.negative[0])


def _word(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, separators=(", ", ":"), ensure_ascii=False)
    return str(value)


def _one_reason(flag: Flag, value: Any) -> str | None:
    if isinstance(value, Mapping | list | tuple):
        if flag.kind in ("json", "json_or_str"):
            return None
        return f"It takes {_ONE.get(flag.kind, 'text')}, not a {'mapping' if isinstance(value, Mapping) else 'list'}."
    if flag.optional and value in ("", "None"):
        # argparse reads None and looks for it among the choices, where before 0.31 only the word "None" stands.
        return None if flag.choices is None or None in flag.choices else not_one_of(value, flag.choices)
    if flag.dest == "lora_modules":
        return _lora_reason(value)
    parsed: Any = value
    if flag.kind in ("int", "human_int", "human_int_or_auto"):
        parsed = _whole(flag.kind, value)
    elif flag.kind == "float":
        parsed = None if isinstance(value, bool) else as_float(value)
    elif isinstance(value, bool) and not flag.choices and flag.kind in ("str", "json_or_str"):
        return f"{shown(value)} is not text; quote it if the word is meant."
    elif flag.kind == "json_or_str" and isinstance(value, str) and _TABLE.fullmatch(value):
        return None if _is_json(value) else f"{shown(value)} is not JSON."
    elif flag.kind == "json":
        return None if not isinstance(value, str) or _is_json(value) else f"{shown(value)} is not JSON."
    if parsed is None:
        return f"{shown(value)} is not {_ONE[flag.kind]}."
    if flag.choices is not None:
        word = meant_word(parsed, flag.loose, flag.choices)
        if word not in flag.choices:
            return not_one_of(value, flag.choices)
        parsed = word
    return _landing_reason(flag.lands_in, parsed)


_ONE = {
    "int": "a whole number",
    "human_int": "a whole number (64k is 64,000 and 1M is 1,048,576)",
    "human_int_or_auto": "a whole number (64k is 64,000 and 1M is 1,048,576) or auto",
    "float": "a number",
    "str": "text",
}


def _lora_reason(value: Any) -> str | None:
    """``name=path`` or a JSON object; an empty word is left out."""
    text = str(value)
    if not text or ("=" in text and "," not in text):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return f"{shown(text)} is neither name=path nor JSON."
    if not isinstance(found, dict) or not {"name", "path"} <= set(found) <= _LORA_FIELDS:
        return f"{shown(text)} is not an object with name and path."
    return None


def _landing_reason(place: Field | None, value: Any) -> str | None:
    """What the config field behind the option says of a value that the option's parser took."""
    # The model reads text only, so that vLLM builds no MultiModalConfig and never looks at its fields.
    if place is None or place.name.startswith("MultiModalConfig."):
        return None
    reason = field_reason(place, value, {})
    return f"{reason} (vLLM's {place.name})" if reason else None


def _json_reason(flag: Flag, value: Any) -> str | None:
    if isinstance(value, str):
        if flag.optional and value in ("", "None"):
            return None
        if not _is_json(value):
            return f"{shown(value)} is not JSON."
        value = json.loads(value)
    if value is None and flag.optional and flag.dest in READ_AS_JSON:
        return None
    if flag.config is None:
        return None
    if not isinstance(value, Mapping):
        return f"It takes a mapping with fields of {flag.config}, not {shown(value)}."
    return class_reason(flag.config, _expanded(value), flag.nested, "")


def _expanded(value: Mapping[str, Any]) -> dict[str, Any]:
    """``{"a.b": 1}`` as ``{"a": {"b": 1}}``, as vLLM reads dotted options."""
    result: dict[str, Any] = {}
    for name, item in value.items():
        head, dot, rest = str(name).partition(".")
        if dot:
            inner = result.setdefault(head, {})
            if isinstance(inner, dict):
                inner.update(_expanded({rest: item}))
        else:
            result[head] = item
    return result


def _whole(kind: str, value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    if isinstance(value, int):
        return value
    if kind == "human_int_or_auto" and value.strip().lower() in ("auto", "-1"):
        return -1
    return _int(value) if kind == "int" else human_int(value)


def _int(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
