#!/usr/bin/env python3
"""The planner code of one vLLM release, fed with cache specs as that release's model declares them.

    PYTHONPATH=SOURCE PYTHON scripts/fit_release_oracle.py < question.json > answer.json

SOURCE is the unpacked Python source of the release's wheel, PYTHON the environment of scripts/vllm_cpu_env.py.
What is transcribed, not run: the arguments of the specs (deepseek_v4_attention.py, compressor.py, sparse_swa.py of the
release) and the number of batches in flight. What is run: pages, grouping, blocks, fit, automatic length, concurrency.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from dataclasses import fields
from types import SimpleNamespace
from unittest.mock import MagicMock

os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
RATIOS = [0, 0, *[4, 128] * 20, 4]


def made(kind: type, **wanted: object) -> object:
    """A spec of this release: what it has no field for is left out."""
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in wanted.items() if name in known})


def specs(drafts: int, fp4: bool, small_fp4: bool) -> dict[str, object]:
    """The cache spec of every layer, in the order in which the model makes them."""
    import torch
    from vllm.v1.kv_cache_interface import MLAAttentionSpec, SlidingWindowMLASpec

    common = {"num_kv_heads": 1, "alignment": 576, "max_tp_shards": 1}
    ds_mla = {"cache_dtype_str": "fp8_ds_mla", "model_version": "deepseek_v4", "state_content_bytes": 584}

    def full(ratio: int, size: int, **more: object) -> object:
        return made(
            MLAAttentionSpec, block_size=256, head_size=size, dtype=torch.uint8, compress_ratio=ratio,
            tokens_per_state=ratio, **common, **more,
        )  # fmt: skip

    def state(ratio: int, size: int) -> object:
        window, block = (8, 4) if ratio == 4 else (128, 8)
        return made(
            SlidingWindowMLASpec, block_size=block, head_size=size, dtype=torch.float32, sliding_window=window, **common
        )

    found: dict[str, object] = {}
    for n, ratio in enumerate([*RATIOS, *[0] * drafts]):
        name = f"model.layers.{n}.attn"
        found[f"{name}.swa_cache"] = made(
            SlidingWindowMLASpec,
            block_size=64,
            head_size=512,
            dtype=torch.uint8,
            sliding_window=128,
            **common,
            **ds_mla,
        )
        if ratio == 4:
            found[f"{name}.indexer.k_cache"] = full(4, 68 if fp4 and small_fp4 else 132)
            found[f"{name}.indexer.compressor.state_cache"] = state(4, 512)
        if ratio:
            found[f"{name}.compressor.state_cache"] = state(ratio, 2048 if ratio == 4 else 1024)
            found[name] = full(ratio, 512, **ds_mla)
    return found


def config(case: dict) -> SimpleNamespace:
    """The part of vLLM's engine config that its planner reads."""
    from vllm.v1 import kv_cache_interface

    layout = getattr(kv_cache_interface, "KVCacheLayout", None)
    resolved = layout["BLHNC"] if layout else None
    return SimpleNamespace(
        model_config=SimpleNamespace(
            max_model_len=case["max_model_len"] or 1048576, original_max_model_len=case["max_model_len"] or -1
        ),
        scheduler_config=SimpleNamespace(
            max_num_batched_tokens=case["max_num_batched_tokens"], disable_hybrid_kv_cache_manager=False
        ),
        parallel_config=SimpleNamespace(
            decode_context_parallel_size=1, prefill_context_parallel_size=1, tensor_parallel_size=4,
            pipeline_parallel_size=1,
        ),
        cache_config=SimpleNamespace(
            num_gpu_blocks_override=None, block_size=256, get_resolved_kv_cache_layout=lambda: resolved,
            prefix_cache_retention_interval=None, cache_dtype="fp8_ds_mla", enable_prefix_caching=True,
        ),
        attention_config=SimpleNamespace(hisparse_config=None),
        device_config=SimpleNamespace(device_type="cuda"),
        speculative_config=None,
        kv_transfer_config=None,
        max_in_flight_tokens=case["max_num_batched_tokens"] * (2 if case["asynchronous"] else 1),
        num_prefill_lookahead_tokens=0,
    )  # fmt: skip


def answer(case: dict, given: dict[str, object]) -> dict:
    """What the release would plan and log."""
    from vllm.v1.core import kv_cache_utils as planner

    engine = config(case)
    try:
        planned = planner.get_kv_cache_configs(engine, [copy.deepcopy(given)], [case["available_bytes"]])
    except ValueError as error:
        said = str(error).partition("estimated maximum model length is ")[2].partition(".")[0]
        return {"refused": True, "longest": int(said) if said else 0}
    concurrency = planner.get_max_concurrency_for_kv_cache_config(engine, planned[0])
    # 0.20.0 logs another number: blocks // groups x the smallest block.
    small = min(group.kv_cache_spec.block_size for group in planned[0].kv_cache_groups)
    length = engine.model_config.max_model_len
    return {
        "refused": False,
        "num_blocks": planned[0].num_blocks,
        "groups": len(planned[0].kv_cache_groups),
        "smallest_block": small,
        "tokens": int(concurrency * length),
        "max_concurrency": round(concurrency, 4),
        "resolved": length,
    }


def main() -> int:
    """Answer the question on stdin."""
    # Older releases import it for file formats.
    for name in ("gguf", "gguf.constants", "gguf.quants"):
        sys.modules.setdefault(name, MagicMock())
    import vllm.platforms
    from vllm.platforms.cpu import CpuPlatform

    vllm.platforms._current_platform = CpuPlatform()
    answers = []
    for asked in json.load(sys.stdin):
        given = specs(asked["drafts"], asked["fp4_indexer"], asked["small_fp4"])
        answers.append([answer(case, given) for case in asked["cases"]])
    sys.stdout.write(json.dumps(answers) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
