"""From a plan to what the memory planner needs to know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.memory import defaults, figures, regime
from dsv4_launch.catalog.models import variants
from dsv4_launch.catalog.releases import nearest_release
from dsv4_launch.plan.argv.numbers import integer
from dsv4_launch.plan.fit.types import Question
from dsv4_launch.plan.types import Plan

_AUTO = {"auto", -1, "-1"}
_DRAFTS = {"mtp": "mtp", "deepseek_mtp": "mtp", "dspark": "dspark"}
_MEGA_MOE = "deep_gemm_mega_moe"


def question(plan: Plan) -> Question | None:
    """What the plan's memory follows from; None for a rehearsal and for a GPU whose memory is not known."""
    if plan.rehearsal or not plan.gpus.memory_mib:
        return None
    release = nearest_release(plan.vllm)[0].version
    values = _values(plan)
    usual = defaults(release, plan.gpus.memory_mib / 1024)
    limit = variants()[plan.model.key].max_model_len
    length = values.get("max_model_len")
    draft = _DRAFTS.get(str(values.get("speculative_config.method", values.get("spec_method", ""))).lower(), "")
    indexer = values.get("attention_config.indexer_kv_dtype")
    runner = next((v.value for v in plan.environment if v.name == "VLLM_USE_V2_MODEL_RUNNER"), None)
    return Question(
        vllm=release,
        gpu=plan.gpus.key,
        arch=gpus()[plan.gpus.key].arch,
        memory_mib=plan.gpus.memory_mib,
        memory_utilization=plan.gpus.memory_utilization,
        tensor=plan.parallel["tensor"],
        data=plan.parallel["data"],
        pipeline=plan.parallel["pipeline"],
        expert=bool(plan.parallel["expert"]),
        draft=draft,  # type: ignore[arg-type]
        fp4_indexer=indexer == "mxfp4" or values.get("attention_config.use_fp4_indexer_cache") is True,
        mega_moe=_MEGA_MOE in {_folded(values.get("moe_backend")), _folded(values.get("kernel_config.moe_backend"))},
        max_model_len=0 if length in _AUTO else integer(length) or limit,
        model_limit=limit,
        max_num_batched_tokens=integer(values.get("max_num_batched_tokens")) or usual["max_num_batched_tokens"],
        max_num_seqs=integer(values.get("max_num_seqs")) or usual["max_num_seqs"],
        asynchronous=values.get("async_scheduling") is not False,
        # DSpark exists on the V2 runner only.
        v2_runner=runner == "1" or (runner != "0" and (regime(release).v2_runner or draft == "dspark")),
        plain_rows=_folded(values.get("attention_backend", values.get("attention_config.backend")))
        == figures("plain_rows")["backend"].lower(),
        blocks_override=integer(values.get("num_gpu_blocks_override")) or 0,
    )


def _values(plan: Plan) -> dict[str, Any]:
    """The arguments by name, nested tables by dotted name too."""
    values: dict[str, Any] = {}
    for argument in plan.arguments:
        _flatten(values, argument.name.replace("-", "_"), argument.value)
    return values


def _flatten(values: dict[str, Any], name: str, value: Any) -> None:
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return
    values[name] = value
    if isinstance(value, Mapping):
        for key, item in value.items():
            _flatten(values, f"{name}.{key}", item)


def _folded(value: Any) -> str:
    return str(value or "").lower().replace("-", "_")
