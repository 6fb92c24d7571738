#!/usr/bin/env python3
"""vLLM 0.32.0's own KV cache planner on a CPU that poses as a node of B200s: what would a start log?

    PYTHON scripts/fit_oracle.py < question.json > answer.json     (scripts/fit_accuracy.py does this)

PYTHON is the environment of scripts/vllm_cpu_env.py. The true model class is built on torch's meta device, once for
each pipeline stage, so that layers, page sizes and weights of a rank are vLLM's; then vLLM's get_kv_cache_configs()
plans for the memory that the question gives. Kernels, streams and process groups are stand-ins: nothing is computed.
Given, not asked of vLLM: the memory that profiling would find, and the cache layout BLHNC (what CUDA backends take).
"""

# ruff: noqa: ARG005 - the platform's methods take what vLLM gives them

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import sys
import types

os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
MIB = 1 << 20


class Anything:
    """Stands in for a kernel, stream or event."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *_args: object, **_kwargs: object) -> None:
        return None


class Extension(types.ModuleType):
    """Stands in for a module of CUDA code."""

    __path__: list[str] = []  # noqa: RUF012 - a module's own attribute

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {}) if name[0].isupper() else Anything()


class Extensions(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the extensions that a CPU build does not have."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:  # noqa: ARG002
        compiled = name.endswith(("_C", "_C_stable_libtorch")) or name.startswith("vllm.third_party.flashmla")
        return importlib.machinery.ModuleSpec(name, self) if compiled else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return Extension(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class CuteDsl(Extensions):
    """Finds kernels that are Python but need CUDA packages to import."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:  # noqa: ARG002
        return (
            importlib.machinery.ModuleSpec(name, self) if name.startswith("vllm.models") and "cutedsl" in name else None
        )


def pose() -> type:
    """Make this process a node of eight B200s. Returns the platform class."""
    sys.meta_path.insert(0, CuteDsl())
    sys.meta_path.append(Extensions())
    import torch
    import vllm.platforms
    from vllm.platforms.cuda import CudaPlatformBase
    from vllm.platforms.interface import DeviceCapability

    class B200(CudaPlatformBase):  # type: ignore[misc]
        dist_backend = "fake"
        get_device_capability = classmethod(lambda cls, device_id=0: DeviceCapability(10, 0))
        get_device_name = classmethod(lambda cls, device_id=0: "NVIDIA B200")
        get_device_total_memory = classmethod(lambda cls, device_id=0: 183359 * MIB)
        device_count = classmethod(lambda cls: 8)
        is_fully_connected = classmethod(lambda cls, ids: True)
        log_warnings = classmethod(lambda cls: None)
        get_device_communicator_cls = classmethod(
            lambda cls: "vllm.distributed.device_communicators.base_device_communicator.DeviceCommunicatorBase"
        )

    vllm.platforms._current_platform = B200()
    torch.cuda.device_count = lambda: 8
    torch.cuda.is_available = lambda: True
    torch.cuda.current_device = lambda: 0
    torch.cuda.current_stream = lambda *_: Anything()
    torch.cuda.Stream = torch.cuda.Event = torch.Event = Anything
    torch.cuda.get_device_properties = lambda _=0: types.SimpleNamespace(
        multi_processor_count=148, name="NVIDIA B200", total_memory=183359 * MIB, major=10, minor=0
    )
    import vllm._custom_ops
    import vllm.config.vllm
    import vllm.model_executor.models.registry as registry

    for name in ("block_fp8", "fp8", "fp4"):
        setattr(torch.ops._C, f"cutlass_scaled_mm_supports_{name}", lambda *_: True)
    torch.ops._C.cutlass_group_gemm_supported = lambda *_: True
    registry._run_in_subprocess = lambda function: function()
    vllm.config.vllm.HAS_TRITON = True
    return B200


def engine_config(model: str, layout: dict) -> object:
    """vLLM's own engine config for a layout."""
    from vllm.engine.arg_utils import EngineArgs

    extra: dict = {}
    if layout["draft"]:
        extra["speculative_config"] = {"method": layout["draft"], "num_speculative_tokens": layout["draft_tokens"]}
    if layout["mega_moe"]:
        extra["moe_backend"] = "deep_gemm_mega_moe"
    return EngineArgs(
        model=model,
        skip_tokenizer_init=True,
        load_format="dummy",
        tensor_parallel_size=layout["tensor"],
        data_parallel_size=layout["data"],
        pipeline_parallel_size=layout["pipeline"],
        enable_expert_parallel=layout["expert"],
        kv_cache_dtype="fp8",
        block_size=256,
        max_num_batched_tokens=8192,
        max_num_seqs=256,
        attention_config={"indexer_kv_dtype": "mxfp4" if layout["fp4_indexer"] else "fp8"},
        **extra,
    ).create_engine_config()


def join(config: object, layout: dict) -> None:
    """Process groups of the layout's size, with nobody in them but us."""
    import torch.distributed as dist
    import vllm.distributed.parallel_state as state
    from torch.testing._internal.distributed.fake_pg import FakeStore
    from vllm.config import set_current_vllm_config

    world = layout["tensor"] * layout["pipeline"] * layout["data"]
    new_group, init_group = dist.new_group, state.init_model_parallel_group
    dist.new_group = lambda ranks=None, *_args, **_kwargs: new_group(ranks, backend="fake")
    dist.barrier = lambda *_args, **_kwargs: None
    dist.init_process_group("fake", rank=0, world_size=world, store=FakeStore())
    state.in_the_same_node_as = lambda *_args, **_kwargs: [True] * world
    state._node_count = lambda _group: 1

    def without_queue(*args: object, **kwargs: object) -> object:
        kwargs["use_message_queue_broadcaster"] = False
        return init_group(*args, **kwargs)

    state.init_model_parallel_group = without_queue
    with set_current_vllm_config(config):
        state.init_distributed_environment(
            world_size=layout["tensor"] * layout["pipeline"], rank=0, local_rank=0, backend="fake",
            distributed_init_method="tcp://127.0.0.1:1",
        )  # fmt: skip
        state.initialize_model_parallel(layout["tensor"], layout["pipeline"], backend="fake")


def without_kernels(platform: type) -> None:
    """From here every tensor is on the meta device, and every missing kernel is a stand-in."""
    import torch
    import torch._ops
    import vllm.model_executor.layers.fused_moe.expert_map_manager as expert_maps
    import vllm.model_executor.layers.sparse_attn_indexer as indexer
    import vllm.utils.deep_gemm as deep_gemm

    for name in ("vllm.model_executor.kernels.mhc.tilelang_kernels", "vllm.tilelang_utils", "tilelang", "deep_gemm"):
        sys.modules[name] = Extension(name)
    indexer.has_deep_gemm = deep_gemm.has_deep_gemm = deep_gemm.is_deep_gemm_supported = lambda *_: True
    expert_maps.ExpertMapManager.get_compressed_map_string = lambda _self: ""  # read off a tensor, for the log
    found = torch._ops._OpNamespace.__getattr__

    def operator(self: object, name: str) -> object:
        try:
            return found(self, name)
        except AttributeError:
            if name.startswith("__"):
                raise
            return Anything()

    torch._ops._OpNamespace.__getattr__ = operator
    platform.device_type = "meta"
    torch.cuda._lazy_init = lambda: None
    for name in ("empty", "zeros", "full", "ones"):
        make = getattr(torch, name)
        setattr(torch, name, lambda *a, _make=make, **k: _make(*a, **{**k, "device": "meta"}))


def stage_specs(config: object, layout: dict, stage: int) -> tuple[dict, int]:
    """Cache specs and parameter bytes of the first rank of a pipeline stage."""
    import torch
    import vllm.distributed.parallel_state as state
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.utils.torch_utils import set_default_torch_dtype

    group = state.get_pp_group()
    group.rank_in_group, group.rank = stage, group.ranks[stage]
    layers = config.compilation_config.static_forward_context
    layers.clear()
    with set_current_vllm_config(config), torch.device("meta"), set_default_torch_dtype(torch.bfloat16):
        models = [initialize_model(vllm_config=config)]
        if layout["draft"] and stage == layout["pipeline"] - 1:
            draft = config.speculative_config.draft_model_config
            models.append(initialize_model(vllm_config=config, model_config=draft))
    held: dict[int, int] = {}
    for model in models:
        # A head that the draft shares with the model is one tensor when it is loaded; so is the embedding on one stage.
        own = model is models[0]
        for name, p in model.named_parameters():
            shared = (
                "lm_head.weight",
                "shared_head.head.weight",
                *(["embed_tokens.weight"] * (layout["pipeline"] == 1)),
            )
            if own or not name.endswith(shared):
                held[id(p)] = p.numel() * p.element_size()
    specs = {n: layer.get_kv_cache_spec(config) for n, layer in layers.items() if isinstance(layer, AttentionLayerBase)}
    return {n: spec for n, spec in specs.items() if spec is not None}, sum(held.values())


def plan(config: object, specs: list[dict], case: dict) -> dict:
    """What vLLM would log for a case: blocks, bytes of a block, concurrency, tokens, length; or its refusal."""
    from vllm.v1.core.kv_cache_utils import (
        generate_scheduler_kv_cache_config,
        get_kv_cache_capacity,
        get_kv_cache_configs,
    )

    limit = 1048576
    config.model_config.max_model_len = case["max_model_len"] or limit
    config.model_config.original_max_model_len = case["max_model_len"] or -1
    config.scheduler_config.max_num_batched_tokens = case["max_num_batched_tokens"]
    config.scheduler_config.async_scheduling = case["asynchronous"]
    config.cache_config.num_gpu_blocks_override = None
    # The page sizes that vLLM pads are written into the specs: each case gets its own.
    import copy

    try:
        planned = get_kv_cache_configs(config, copy.deepcopy(specs), [case["available_bytes"]] * len(specs))
    except ValueError as error:
        text = str(error)
        said = text.partition("estimated maximum model length is ")[2].partition(".")[0]
        return {"refused": True, "longest": int(said) if said else 0}
    scheduled = generate_scheduler_kv_cache_config(planned)
    tokens, concurrency = get_kv_cache_capacity(config, scheduled)
    tensors = planned[0].kv_cache_tensors  # the pool of the first stage
    return {
        "refused": False,
        "num_blocks": scheduled.num_blocks,
        "bytes_per_block": tensors[0].size // scheduled.num_blocks,
        "tokens": tokens,
        "max_concurrency": round(concurrency, 4),
        "resolved": config.model_config.max_model_len,
    }


def main() -> int:
    """Answer the question on stdin."""
    asked = json.load(sys.stdin)
    layout = asked["layout"]
    platform = pose()
    config = engine_config(asked["model"], layout)
    join(config, layout)
    without_kernels(platform)
    stages = [stage_specs(config, layout, stage) for stage in range(layout["pipeline"])]
    config.cache_config.kv_cache_layout = "BLHNC"
    import vllm

    answer = {
        "vllm": vllm.__version__,
        "parameter_bytes": [size for _, size in stages],
        "answers": [plan(config, [specs for specs, _ in stages], case) for case in asked["cases"]],
    }
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
