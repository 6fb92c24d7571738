"""Conditions on settled values, as constraints and advisories ask them.

A condition is the list of values that are allowed, or a table of kinds, all of which must hold: ``in``, ``not_in``,
``min``, ``max``, ``divides``, ``not_multiple_of``, ``has`` (a piece of text), ``present``, ``absent``. Numbers may be
written as vLLM reads them (``64k``). ``"$path"`` takes another settled value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.models import variants
from dsv4_launch.plan.argv.numbers import integer
from dsv4_launch.plan.settings import Settings

KINDS = frozenset({"in", "not_in", "min", "max", "divides", "not_multiple_of", "has", "present", "absent"})


def values_of(settled: Settings, facts: Mapping[str, str]) -> dict[str, Any]:
    """Settled values by path, nested tables by dotted path too, with what follows from them.

    ``vllm`` is the release; ``parallel.ranks`` tensor x data; ``model.experts`` and ``parallel.expert_slots`` (with
    redundant experts); ``gpus.hidden`` how many GPUs of a node the server does not see.
    """
    values: dict[str, Any] = {}
    for name, setting in settled.items():
        # An engine argument may be written with dashes, as on the command line.
        _flatten(values, name.replace("-", "_") if name.startswith("engine.") else name, setting.value)
    values["vllm"] = facts["vllm"]
    values["parallel.ranks"] = values["parallel.tensor"] * values["parallel.data"]
    values["model.experts"] = variants()[facts["model"]].routed_experts
    redundant = integer(values.get("engine.eplb_config.num_redundant_experts")) or 0
    values["parallel.expert_slots"] = values["model.experts"] + redundant
    values["gpus.hidden"] = _hidden(values, facts["gpu"])
    # Two places for one value, and spellings that vLLM's parser makes equal.
    for name, other, fold in (
        ("engine.moe_backend", "engine.kernel_config.moe_backend", str.lower),
        ("engine.attention_backend", "engine.attention_config.backend", str.upper),
    ):
        value = values.get(name, values.get(other))
        if isinstance(value, str):
            values[name] = fold(value).replace("-", "_")
    return values


def on_another(gpu: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values on another GPU type, by its catalog key."""
    return {**values, "gpus.hidden": _hidden(values, gpu)}


def _hidden(values: Mapping[str, Any], gpu: str) -> int:
    visible, node = values.get("gpus"), gpus()[gpu].gpus_per_node
    return node - len(visible) if isinstance(visible, tuple) and node else 0


def _flatten(values: dict[str, Any], name: str, value: Any) -> None:
    values[name] = value
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(values, f"{name}.{key}", item)


def given_holds(given: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """True when every value is there and meets its condition; ``absent`` and ``not_in`` hold without a value too."""
    # Loops, not all(): a command line is asked two hundred of them, and nearly all end at their first value.
    for name, condition in given.items():
        value = values.get(name)
        if not isinstance(condition, dict):
            if value not in condition:
                return False
            continue
        for kind, wanted in condition.items():
            if not _meets(kind, wanted, value, values):
                return False
    return True


def must_holds(must: Mapping[str, Any], value: Any, values: Mapping[str, Any]) -> bool:
    """True when the value meets the conditions; what is not there breaks only ``present``."""
    if value is None:
        return "present" not in must
    return all(_meets(kind, wanted, value, values, unknown=True) for kind, wanted in must.items())


def kinds(condition: Any) -> Mapping[str, Any]:
    """A condition as a table of kinds."""
    return condition if isinstance(condition, dict) else {"in": condition}


def _meets(kind: str, wanted: Any, value: Any, values: Mapping[str, Any], *, unknown: bool = False) -> bool:
    """One kind. ``unknown``: the verdict where a number cannot be told, as of the word auto."""
    match kind:
        case "present":
            return value is not None
        case "absent":
            return value is None
        case "in":
            return value in wanted
        case "not_in":
            return value not in wanted
        case "has":
            return isinstance(value, str) and wanted in value
    number = value if isinstance(value, float) else integer(value)
    limit = _number_at(wanted, values)
    if number is None or limit is None:
        return unknown
    match kind:
        case "min":
            return bool(number >= limit)
        case "max":
            return bool(number <= limit)
        case "divides":
            return bool(number) and bool(limit % number == 0)
        case "not_multiple_of":
            return bool(number % limit != 0)
    raise ValueError(f"no such condition: {kind}")


def _number_at(wanted: Any, values: Mapping[str, Any]) -> int | float | None:
    if isinstance(wanted, str) and wanted.startswith("$"):
        return integer(values.get(wanted[1:]))
    return wanted if isinstance(wanted, int | float) else None
