"""A command line that was read, as the values that vLLM makes of it: typed, with the release's defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dsv4_launch.catalog.field_values import as_float, meant_word
from dsv4_launch.catalog.flag_table import Flag, FlagTable
from dsv4_launch.catalog.flag_values import human_int
from dsv4_launch.plan.argv.parsed import Given, Parsed

_CONTEXT = 1_048_576  # the model's own, where no other length is given


def values_of(parsed: Parsed, table: FlagTable, gpus: int) -> dict[str, Any]:
    """Values by destination, and of nested configs by ``destination.field``. What is None is not there.

    Beside them ``derived.*``: what vLLM computes of several values before it compares.
    """
    values: dict[str, Any] = dict(table.defaults)
    tables: dict[str, Any] = {}
    for dest, given in parsed.given.items():
        value = _value(given)
        if given.flag.kind == "json" and given.flag.config and isinstance(value, Mapping):
            tables[dest] = value
            _put_fields(values, dest, given.flag, value)
        elif value is None:
            values.pop(dest, None)
            if given.flag.kind == "json" and not given.flag.optional:
                values[f"derived.null.{dest}"] = True
        else:
            values[dest] = value
    values |= _derived(values, tables, gpus)
    return values


def _value(given: Given) -> Any:
    flag, words = given.flag, given.values
    if flag.kind in ("bool", "store_true"):
        return given.positive
    if not words:
        return flag.const
    if flag.nargs not in (None, "?") or flag.kind == "append":
        return tuple(words)
    word = words[0]
    if (flag.optional or flag.kind == "custom:parse_reasoning_parser") and word in ("", "None"):
        return None
    if flag.kind == "json" or (flag.kind == "json_or_str" and word.strip()[:1] + word.strip()[-1:] == "{}"):
        return json.loads(word)
    if flag.kind == "float":
        return as_float(word)
    if flag.kind in ("int", "human_int", "human_int_or_auto"):
        return -1 if word.strip().lower() == "auto" else human_int(word)
    return meant_word(word, flag.loose, flag.choices) if flag.choices else word


def _put_fields(values: dict[str, Any], dest: str, flag: Flag, given: Mapping[str, Any]) -> None:
    """The fields of a nested config, defaults too: an object of the class has them all."""
    for name, field in flag.fields.items():
        value = given.get(name, field.default)
        if isinstance(value, bool | int | float | str | list | tuple | Mapping):
            truth = {"true": True, "1": True, "false": False, "0": False}
            loosely = isinstance(value, str) and "bool" in field.type and value.lower() in truth
            values[f"{dest}.{name}"] = truth[str(value).lower()] if loosely else value


def _derived(values: Mapping[str, Any], tables: Mapping[str, Any], gpus: int) -> dict[str, Any]:
    def number(name: str, otherwise: int = 1) -> int:
        value = values.get(name, otherwise)
        return value if isinstance(value, int) else otherwise

    tensor, data = number("tensor_parallel_size"), number("data_parallel_size")
    context = number("prefill_context_parallel_size")
    world = tensor * number("pipeline_parallel_size") * context
    length = number("max_model_len", -1)
    found: dict[str, Any] = {
        "derived.gpus": gpus,
        "derived.world": world,
        "derived.world_across_data": world * data,
        "derived.expert_ranks": tensor * data * context,
        "derived.last_data_rank": data - 1,
        "derived.last_node": number("nnodes") - 1,
        "derived.microbatches": 2 if values.get("enable_dbo") else number("ubatch_size", 0),
        "derived.context": length if length > 0 else _CONTEXT,
        "derived.external_balancing": "data_parallel_rank" in values or bool(values.get("data_parallel_external_lb")),
        "derived.speculative": "speculative_config" in tables or "spec_method" in values or "spec_tokens" in values,
        "derived.kv_transfer": "kv_transfer_config" in tables,
        "derived.engram": "engram_config" in tables,
        "derived.quantization_config": "quantization_config" in tables,
        "derived.watermark": "watermark_config" in tables,
    }
    reasoning = tables.get("reasoning_config")
    # Only what neither names its start nor its end is asked of a parser.
    if reasoning is not None and not (reasoning.get("reasoning_start_str") and reasoning.get("reasoning_end_str")):
        found["derived.reasoning_config"] = str(reasoning.get("reasoning_parser") or "")
    quantized = tables.get("quantization_config")
    if quantized is not None and not any(quantized.get(name) is not None for name in ("linear", "moe", "targets")):
        found["derived.quantization"] = "nothing"
    for name in ("method", "num_speculative_tokens", "model"):
        said = tables.get("speculative_config", {}).get(name)
        if said is not None:
            found[f"derived.own_{name}"] = said
    for short, field in (("spec_method", "method"), ("spec_tokens", "num_speculative_tokens"), ("spec_model", "model")):
        if short in values:
            found[f"speculative_config.{field}"] = values[short]
    drafts = tables.get("speculative_config", {}).get("num_speculative_tokens", values.get("spec_tokens"))
    if isinstance(drafts, int) and "max_num_batched_tokens" in values:
        found["derived.tokens_beside_drafts"] = number("max_num_batched_tokens") - drafts
    return found
