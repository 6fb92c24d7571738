"""Every constraint: a config that breaks it, and the nearest one that does not."""

from __future__ import annotations

import pytest

from dsv4_launch.catalog.rules import constraints
from dsv4_launch.config.load import load
from dsv4_launch.plan.resolve import examine_config

BASE = 'name: x\nmodel: flash\nvllm: "0.33.0"\ngpu: b200\n'
MEGA = "engine.moe_backend=deep_gemm_mega_moe"
EP = "parallel.expert=true"
MTP = "engine.speculative_config={method: mtp, num_speculative_tokens: 2}"
DSPARK = "engine.speculative_config={method: dspark, num_speculative_tokens: 5}"
ADAPTIVE = "engine.speculative_config={method: dspark, num_speculative_tokens: 5, enable_adaptive_verification: true}"
CHECKPOINT = "model=flash-0731"


def at(version: str) -> str:
    return f"vllm='{version}'"


# What breaks it, and what is changed for it to hold.
CASES = {
    "indexer-fp4-needs-sm100": (["gpu=h200", "engine.indexer_cache_dtype=fp4"], ["gpu=b300"]),
    "kv-cache-needs-fp8": ([at("0.29.0"), "engine.kv_cache_dtype=auto"], [at("0.30.0")]),
    "kv-cache-fp8-or-auto": (
        ["engine.kv_cache_dtype=bfloat16"],
        ["engine.attention_backend=FLASHINFER_MLA_SPARSE_DSV4"],
    ),
    "block-size-256": (["engine.block_size=128"], ["engine.block_size=256"]),
    "tensor-parallel-divides": (["parallel.tensor=3"], ["parallel.tensor=4"]),
    "experts-divide": ([EP, "parallel.data=3"], ["engine.eplb_config={num_redundant_experts: 2}"]),
    "pipeline-needs-0.21": ([at("0.20.2"), "parallel.pipeline=2"], [at("0.21.0")]),
    "batch-holds-seqs": (
        ["engine.max_num_batched_tokens=1k", "engine.max_num_seqs=1024"],
        ["engine.max_num_seqs=1000"],
    ),
    "tool-choice-needs-parser": (["engine.enable_auto_tool_choice=true"], ["engine.tool_call_parser=deepseek_v4"]),
    "mega-moe-needs-ep": ([MEGA], [EP]),
    "mega-moe-needs-sm100": (["gpu=h200", EP, MEGA], ["gpu=gb200"]),
    "mega-moe-needs-fp4-experts": (["model=flash-nvfp4", EP, MEGA], ["model=flash"]),
    "mega-moe-without-lora": ([EP, MEGA, "engine.enable_lora=true"], ["engine.enable_lora=false"]),
    "mtp-needs-module": ([CHECKPOINT, MTP], ["model=flash"]),
    "mtp-hangs-before-0.20.1": ([at("0.20.0"), MTP], [at("0.20.1")]),
    "dspark-needs-0.25": ([at("0.24.0"), DSPARK], [at("0.25.0"), CHECKPOINT]),
    "dspark-fills-its-block": (
        [CHECKPOINT, at("0.27.1"), "engine.speculative_config={method: dspark, num_speculative_tokens: 3}"],
        [at("0.28.0")],
    ),
    "dspark-needs-module": ([DSPARK], [CHECKPOINT]),
    "dspark-runs-on-the-v2-runner": (
        [CHECKPOINT, DSPARK, "env.VLLM_USE_V2_MODEL_RUNNER='0'"],
        ["env.VLLM_USE_V2_MODEL_RUNNER='1'"],
    ),
    "flashmla-needs-sm90-or-sm100": (
        ["gpu=rtx-pro-6000", "engine.attention_backend=FLASHMLA_SPARSE_DSV4"],
        ["gpu=h200"],
    ),
    "flashinfer-needs-sm100-or-sm120": (
        ["gpu=h200", "engine.attention_config={backend: FLASHINFER_MLA_SPARSE_DSV4}"],
        ["gpu=rtx-pro-6000"],
    ),
    "attention-backend-of-the-model": (
        ["engine.attention_backend=FLASHINFER_MLA_SPARSE"],
        ["engine.attention_backend=FLASHINFER_MLA_SPARSE_DSV4"],
    ),
    "sm120-needs-0.24": (["gpu=rtx-pro-6000", at("0.23.0")], [at("0.24.0")]),
    "lora-needs-0.29": ([at("0.28.0"), "engine.enable_lora=true"], [at("0.29.0")]),
    "eagle3-needs-0.25": (
        [at("0.24.0"), "engine.speculative_config={method: eagle3, model: a/b, num_speculative_tokens: 2}"],
        [at("0.25.0")],
    ),
    "context-parallel-without-sliding-window": (
        ["engine.decode_context_parallel_size=2"],
        ["engine.decode_context_parallel_size=1"],
    ),
    "context-within-the-model": (["engine.max_model_len=2M"], ["engine.max_model_len=1M"]),
    "adaptive-verification-needs-dspark": (
        [
            at("0.29.0"),
            "engine.speculative_config={method: mtp, num_speculative_tokens: 2, enable_adaptive_verification: true}",
        ],
        [at("0.30.0")],
    ),
    "adaptive-verification-needs-sm100": (["gpu=h200", CHECKPOINT, ADAPTIVE], ["gpu=b200"]),
    "adaptive-verification-needs-graphs": (
        [at("0.28.0"), CHECKPOINT, ADAPTIVE, "engine.compilation_config={cudagraph_mode: NONE}"],
        ["engine.compilation_config={cudagraph_mode: PIECEWISE}"],
    ),
    "adaptive-verification-needs-full-graphs": (
        [CHECKPOINT, ADAPTIVE, "engine.compilation_config={cudagraph_mode: PIECEWISE}"],
        ["engine.compilation_config={cudagraph_mode: FULL}"],
    ),
    "adaptive-verification-not-eager": (
        [CHECKPOINT, ADAPTIVE, "engine.enforce_eager=true"],
        ["engine.enforce_eager=false"],
    ),
    "adaptive-verification-without-lora": ([CHECKPOINT, ADAPTIVE, "engine.enable_lora=true"], [DSPARK]),
    "adaptive-verification-without-pipeline": ([CHECKPOINT, ADAPTIVE, "parallel.pipeline=2"], ["parallel.pipeline=1"]),
    "indexer-reads-fp8-or-mxfp4": (
        ["engine.attention_config={indexer_kv_dtype: nvfp4}"],
        ["engine.attention_config={indexer_kv_dtype: mxfp4}"],
    ),
    "mxfp4-indexer-needs-sm100": (["gpu=h200", "engine.attention_config={indexer_kv_dtype: mxfp4}"], ["gpu=b200"]),
    "fp4-indexer-flag-needs-sm100": (
        [at("0.25.1"), "gpu=h200", "engine.attention_config={use_fp4_indexer_cache: true}"],
        ["gpu=b200"],
    ),
}


def codes(*overrides: str) -> list[str]:
    return [problem.code for problem in examine_config(load(BASE, "c.yaml", overrides))[1]]


def test_every_constraint_has_a_case():
    assert set(CASES) == {constraint.code for constraint in constraints()}


@pytest.mark.parametrize("code", CASES)
def test_broken_and_held(code):
    breaks, holds = CASES[code]
    assert code in codes(*breaks)
    assert code not in codes(*breaks, *holds)


@pytest.mark.parametrize("code", sorted(CASES))
def test_what_holds_is_valid_altogether(code):
    breaks, holds = CASES[code]
    assert codes(*breaks, *holds) == []


@pytest.mark.parametrize("spelling", ["deep_gemm_mega_moe", "DEEP-GEMM-MEGA-MOE"])
def test_a_backend_is_known_in_every_spelling_and_place(spelling):
    assert "mega-moe-needs-sm100" in codes("gpu=h200", EP, f"engine.moe_backend={spelling}")
    assert "mega-moe-needs-sm100" in codes("gpu=h200", EP, f"engine.moe-backend={spelling}")
    assert "mega-moe-needs-sm100" in codes("gpu=h200", EP, f"engine.kernel_config={{moe_backend: {spelling}}}")


def test_redundant_experts_count():
    assert "experts-divide" not in codes(EP, "parallel.tensor=8")
    assert "experts-divide" in codes(EP, "parallel.tensor=8", "engine.eplb_config={num_redundant_experts: 3}")


def test_a_longer_context_is_allowed_to_those_who_insist():
    assert "context-within-the-model" not in codes(
        "engine.max_model_len=2000000", "env.VLLM_ALLOW_LONG_MAX_MODEL_LEN='1'"
    )
