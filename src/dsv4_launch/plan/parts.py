"""The parts of a plan that follow from the catalog: model, GPUs, image, stack, program, and what to say about them."""

from __future__ import annotations

from typing import Any

from dsv4_launch.catalog.models import Variant
from dsv4_launch.catalog.reference import deviations, source
from dsv4_launch.config.model import LaunchConfig, Model
from dsv4_launch.plan.argv.numbers import integer
from dsv4_launch.plan.binds import MODEL_INSIDE
from dsv4_launch.plan.lookup import Known
from dsv4_launch.plan.settings import Setting, Settings
from dsv4_launch.plan.types import Notice, PlannedGpus, PlannedModel, Stack
from dsv4_launch.values import Ref, Word, host_path, joined

# What vLLM takes to end its processes once no request runs any more.
_END_S = 30


def repo_of(config: LaunchConfig, variant: Variant) -> str:
    """The Hub repository that is served: the config's own, else the checkpoint's."""
    return config.model.repo or variant.repo if isinstance(config.model, Model) else variant.repo


def model_source(config: LaunchConfig, known: Known) -> Word | None:
    """The folder of the host that holds the checkpoint, when it does not come from the Hub."""
    if isinstance(config.model, Model) and config.model.path:
        return host_path(config.model.path)
    return joined(Ref("rehearsal_home"), "/model") if known.gpu.arch == "cpu" else None


def model_of(config: LaunchConfig, known: Known) -> PlannedModel:
    """The model as it is served: by its repository, or from a folder of the host."""
    variant, folder = known.variant, model_source(config, known)
    repo = "" if isinstance(config.model, Model) and config.model.path else repo_of(config, variant)
    served: Word = repo
    if folder is not None:
        served = MODEL_INSIDE if config.target.type == "docker" else folder
    ours = folder is None and repo == variant.repo
    return PlannedModel(
        key=variant.key,
        repo=repo,
        revision=(config.model.revision or "") if isinstance(config.model, Model) else "",
        served=served,
        local=folder is not None,
        gated=variant.gated and ours,
        weight_bytes=variant.weight_bytes if ours else 0,
        files=variant.files if ours else 0,
    )


def gpu_count(settled: Settings) -> int:
    """How many GPUs the layout needs: tensor x data x pipeline."""
    count = 1
    for name in ("tensor", "data", "pipeline"):
        count *= int(settled[f"parallel.{name}"].value)
    return count


def gpus_of(known: Known, settled: Settings) -> PlannedGpus:
    """The GPUs that are needed, and what of each vLLM takes."""
    gpu = known.gpu
    # 0.92 is vLLM's own default (vllm 0.20.0 config/cache.py:66).
    utilization = settled.get("engine.gpu_memory_utilization", Setting(0.92, "", "")).value
    return PlannedGpus(
        key=gpu.key,
        names=gpu.names,
        count=0 if gpu.arch == "cpu" else gpu_count(settled),
        visible=settled["gpus"].value,
        memory_mib=gpu.memory_mib,
        compute_capability=gpu.compute_capability,
        arch=gpu.arch,
        memory_utilization=float(utilization),
    )


def image_of(known: Known) -> str:
    """The image of the release; of a build that is not known, the tag that vLLM would give it."""
    if known.gpu.rehearsal_image:
        return known.gpu.rehearsal_image.format(vllm=known.version)
    return known.release.image if known.exact else f"vllm/vllm-openai:v{known.version}"


def stack_of(config: LaunchConfig, known: Known) -> Stack:
    """The CUDA of the release's own image; of another image nothing is known before it is looked at."""
    image = (config.container.image or known.release.image).partition("@")[0]  # a pinned image is the same image
    if known.gpu.arch == "cpu" or image != known.release.image:
        return Stack("", "", "")
    return Stack(known.release.cuda, known.release.min_driver, known.release.source)


def executable_of(config: LaunchConfig, known: Known) -> Word:
    """The vllm program of a native server."""
    if config.target.type == "native" and config.target.executable:
        return host_path(config.target.executable)
    return joined(Ref("rehearsal_home"), "/venv/bin/vllm") if known.gpu.arch == "cpu" else "vllm"


def doubts_of(known: Known, where: str) -> tuple[Notice, ...]:
    """A warning where the release is not one of the catalog's."""
    if known.exact:
        return ()
    why = f"its flags and rules are those of {known.release.version}, the nearest release in the catalog"
    return (Notice("warning", f"vLLM {known.version} is not a release that is known here", why, where),)


def stop_timeout_s(config: LaunchConfig, settled: Settings) -> int:
    """Seconds from the request to stop to the kill: what requests have to finish, and time to end after that."""
    drain = settled.get("engine.shutdown_timeout")
    return config.container.stop_timeout_s or _END_S + (integer(drain.value) or 0 if drain else 0)


def log_of(config: LaunchConfig) -> dict[str, Any]:
    """How a container's log is bounded; not at all where the config leaves that to the engine or says it in words."""
    named = any(word.startswith(("--log-driver", "--log-opt")) for word in config.container.options)
    if named or config.container.log_max_size is None:
        return {}
    return {"log_max_size": config.container.log_max_size, "log_files": config.container.log_files}


def deviations_of(config: LaunchConfig, model: PlannedModel, settled: Settings) -> tuple[Notice, ...]:
    """Where a container differs from the documented page, and why: what holds of this config."""
    if config.target.type != "docker":
        return ()
    holds = {
        "": True,
        "loopback": config.server.host in {"127.0.0.1", "::1", "localhost"},
        "hub": not model.local,
        "caches": config.container.caches,
        "drains": "engine.shutdown_timeout" in settled,
        "logs": bool(log_of(config)),
    }
    return tuple(
        Notice(
            "deviation",
            f"page: {' '.join(d.words) or '(none)'}   here: {' '.join(d.ours) or '(none)'}",
            d.why,
            source(),
        )
        for d in deviations()
        if holds[d.holds]
    )
