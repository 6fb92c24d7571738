"""Cases that vLLM's own planner answered, and published figures: what ours says to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.catalog.memory import regime
from dsv4_launch.plan.fit.kv_cache import bytes_of_request, bytes_per_block, capacity, longest_request
from dsv4_launch.plan.fit.memory import overhead, parameters_gib, usable_gib, weights_gib
from dsv4_launch.plan.fit.types import GIB, Question

V2_FROM = (0, 28)


def asked(vllm: str, **changes: Any) -> Question:
    """A question about four B200 with every value at what a bare server takes."""
    draft = changes.get("draft", "")
    values: dict[str, Any] = {
        "gpu": "b200",
        "arch": "sm100",
        "memory_mib": 183359,
        "memory_utilization": 0.92,
        "tensor": 4,
        "data": 1,
        "pipeline": 1,
        "expert": True,
        "draft": "",
        "fp4_indexer": True,
        "mega_moe": True,
        "max_model_len": 1048576,
        "model_limit": 1048576,
        "max_num_batched_tokens": 8192,
        "max_num_seqs": 1024,
        "asynchronous": True,
        "v2_runner": tuple(int(n) for n in vllm.split(".")[:2]) >= V2_FROM or draft == "dspark",
    }
    return Question(vllm=vllm, **(values | changes))


def judge(vllm: str, verdict: Mapping[str, Any]) -> list[str]:
    """What differs between vLLM's answers for one layout and ours."""
    layout = {name: value for name, value in verdict["layout"].items() if name != "draft_tokens"}
    release, problems = vllm.partition("+")[0], []
    for stage, size in enumerate(verdict.get("parameter_bytes", ())):
        ours = parameters_gib(asked(release, **layout), stage)
        # Over pipeline stages weights are taken as even, and layers differ a little; with DSpark vLLM builds the
        # embedding twice on the last stage, and whether one is left after loading is not known.
        spread = 0.05 if layout["draft"] != "dspark" else 0.3
        if abs(ours - size / GIB) > (0.01 if layout["pipeline"] == 1 else spread):
            problems.append(f"stage {stage}: parameters {ours:.3f} GiB, vLLM {size / GIB:.3f}")
    for case in verdict["cases"]:
        problems += judge_case(asked(release, **layout, **_settings(case)), case)
    return problems


def _settings(case: Mapping[str, Any]) -> dict[str, Any]:
    return {name: case[name] for name in ("max_num_batched_tokens", "asynchronous")}


def judge_case(question: Question, case: Mapping[str, Any]) -> list[str]:
    """What differs in one case."""
    from dataclasses import replace

    question = replace(question, max_model_len=case["wanted"] if "wanted" in case else case["max_model_len"])
    found = capacity(question, (case["available_bytes"],) * question.pipeline)
    if case["refused"]:
        # With pipeline stages vLLM names the longest of the first stage that is too small, we that of all.
        same = not found.fits and (question.pipeline > 1 or found.longest == case["longest"])
        return [] if same else [f"{case}: ours {found}"]
    ours = {
        "num_blocks": found.num_blocks,
        "bytes_per_block": bytes_per_block(question),
        "tokens": found.tokens,
        "max_concurrency": round(found.max_concurrency, 4),
        "resolved": found.max_model_len,
    }
    if regime(question.vllm).tokens == "groups" and "groups" in case:
        case = {**case, "tokens": case["num_blocks"] // case["groups"] * case["smallest_block"]}
    said = [name for name in ours if name in case]
    return [f"{name}: ours {ours[name]}, vLLM {case[name]}, {case}" for name in said if ours[name] != case[name]] + (
        [] if found.fits else [f"does not fit in ours: {case}"]
    )


def predicted(row: Mapping[str, Any]) -> float:
    """Our figure for a published row."""
    settings = dict(row["settings"])
    vllm, given = settings.pop("vllm"), settings.pop("available_kv_gib", None)
    blocks = settings.pop("num_blocks", None)
    question = asked(vllm, **settings)
    if blocks is not None:
        given_bytes = blocks * bytes_per_block(question)
    elif given is not None:
        given_bytes = round(given * GIB)
    else:
        gone = overhead(question)
        given_bytes = int((usable_gib(question)[1] - weights_gib(question) - (gone.low + gone.high) / 2) * GIB)
    found = capacity(question, (given_bytes,))
    match row["quantity"]:
        case "tokens":
            return found.tokens
        case "concurrency":
            return found.max_concurrency
        case "blocks":
            return found.num_blocks
        case "KiB/token":
            return given_bytes / found.tokens / 1024
        case "GiB needed":
            return bytes_of_request(question, question.max_model_len) / GIB
        case "longest":
            return longest_request(question, (given_bytes,), question.model_limit)
        case "weights GiB":
            return parameters_gib(question)
        case "loaded GiB":
            return weights_gib(question)
        case "KV GiB":
            return given_bytes / GIB
        case "group bytes":
            return bytes_per_block(question)
    raise ValueError(row["quantity"])
