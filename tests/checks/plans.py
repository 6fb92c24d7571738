"""Plans that the checks are tried on, as values: what a config becomes is tried elsewhere."""

from dataclasses import replace

from dsv4_launch.plan.types import (
    Argument,
    Bind,
    Plan,
    PlannedContainer,
    PlannedGpus,
    PlannedModel,
    PlannedNative,
    Stack,
    Variable,
)
from dsv4_launch.values import Ref, joined

REFERENCE = Plan(
    name="flash-b200",
    target="docker",
    vllm="0.20.0",
    stack=Stack("13.0", "580.65.06", ""),
    model=PlannedModel(
        key="flash",
        repo="deepseek-ai/DeepSeek-V4-Flash",
        revision="",
        served="deepseek-ai/DeepSeek-V4-Flash",
        local=False,
        gated=False,
        weight_bytes=160_000_000_000,
        files=46,
    ),
    gpus=PlannedGpus(
        key="b200",
        names=("NVIDIA B200",),
        count=4,
        visible="all",
        memory_mib=183359,
        compute_capability="10.0",
        arch="sm100",
        memory_utilization=0.9,
    ),
    parallel={"tensor": 4, "data": 1, "pipeline": 1, "expert": 1},
    arguments=(),
    environment=(),
    host="127.0.0.1",
    port=8000,
    served_model_names=("deepseek-ai/DeepSeek-V4-Flash",),
    api_key_env="",
    hf_token_env="HF_TOKEN",
    container=PlannedContainer(
        image="vllm/vllm-openai:v0.20.0",
        runtime="nvidia",
        ipc="host",
        shm_size="128g",
        restart="no",
        binds=(
            Bind(Ref("hf_home"), "/root/.cache/huggingface", False, "weights"),
            Bind(joined(Ref("dsv4_cache"), "/caches/x"), "/root/.cache/dsv4", False, "caches"),
        ),
        ulimits={},
    ),
    native=PlannedNative("vllm", "no"),
    timeout_s=3600,
)

_MODEL = joined(Ref("rehearsal_home"), "/model")
_REHEARSAL_MODEL = replace(REFERENCE.model, served="/model", local=True, weight_bytes=0, files=0)
_NO_GPUS = replace(REFERENCE.gpus, key="cpu", names=(), count=0, memory_mib=0, compute_capability="", arch="cpu")

_LAST_FOUR = replace(REFERENCE.gpus, visible=(4, 5, 6, 7))
_SYMM_MEM_OFF = Variable("VLLM_ALLREDUCE_USE_SYMM_MEM", "0", "", "")
_COMPATIBILITY = Variable("VLLM_ENABLE_CUDA_COMPATIBILITY", "1", "", "")
_MEGA_MOE = Argument("moe_backend", "deep_gemm_mega_moe", ("--moe-backend", "deep_gemm_mega_moe"), "", "")
_EAGER = Argument("safetensors_load_strategy", "eager", ("--safetensors-load-strategy", "eager"), "", "")

PLANS: dict[str, Plan] = {
    "docker": REFERENCE,
    "native": replace(REFERENCE, target="native"),
    "last-four": replace(REFERENCE, gpus=_LAST_FOUR, environment=(_SYMM_MEM_OFF,)),
    "last-four-symm-mem": replace(REFERENCE, gpus=_LAST_FOUR),
    "across": replace(REFERENCE, gpus=replace(REFERENCE.gpus, visible=(2, 3, 4, 5)), environment=(_SYMM_MEM_OFF,)),
    "compatibility": replace(REFERENCE, environment=(_COMPATIBILITY,)),
    "mega-moe": replace(REFERENCE, arguments=(_MEGA_MOE,)),
    "eager": replace(REFERENCE, arguments=(_EAGER,)),
    "files": replace(REFERENCE, container=replace(REFERENCE.container, ulimits={"nofile": 4096})),
    "gated": replace(REFERENCE, model=replace(REFERENCE.model, gated=True)),
    "with-key": replace(REFERENCE, environment=(Variable("VLLM_API_KEY", None, "", "", env_from="MY_KEY"),)),
    "public": replace(REFERENCE, host="0.0.0.0"),
    "public-with-key": replace(REFERENCE, host="::", api_key_env="MY_KEY"),
    "private-ipc": replace(REFERENCE, container=replace(REFERENCE.container, ipc="private", shm_size="1g")),
    "default-runtime": replace(REFERENCE, container=replace(REFERENCE.container, runtime="")),
    "rehearsal": replace(
        REFERENCE,
        name="rehearsal-cpu",
        vllm="0.32.0",
        stack=Stack("", "", ""),
        model=_REHEARSAL_MODEL,
        gpus=_NO_GPUS,
        container=replace(
            REFERENCE.container,
            image="dsv4-rehearsal-cpu:0.32.0",
            runtime="",
            binds=(Bind(_MODEL, "/model", True, "model"),),
        ),
    ),
}
