"""What a container sees of the host, and the environment of the server."""

from __future__ import annotations

import re
from collections.abc import Callable

from dsv4_launch.catalog.caches import caches
from dsv4_launch.catalog.gpus import Gpu
from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.plan.secrets import KEY_VARIABLE
from dsv4_launch.plan.settings import Settings
from dsv4_launch.plan.types import Bind, Variable
from dsv4_launch.values import Joined, Ref, Word, digest, host_path, joined

Where = Callable[[tuple[str | int, ...]], str]

WEIGHTS_INSIDE = "/root/.cache/huggingface"
CACHES_INSIDE = "/root/.cache/dsv4"
MODEL_INSIDE = "/model"

# vLLM's own images, whose names a folder can carry as they are.
_OWN_IMAGE = re.compile(r"vllm/vllm-openai(:[a-zA-Z0-9.-]+)?(@sha256:[0-9a-f]{64})?")


def binds(config: LaunchConfig, gpu: Gpu, image: str, model: Word | None) -> tuple[Bind, ...]:
    """The mounts of the container: weights or a local model, the caches, what the config adds.

    The cache folder is named after image and GPU type: kernels that were compiled for another one must not be found.
    """
    found: list[Bind] = []
    if model is None:
        found.append(Bind(Ref("hf_home"), WEIGHTS_INSIDE, read_only=False, purpose="weights"))
    else:
        found.append(Bind(model, MODEL_INSIDE, read_only=True, purpose="model"))
    if config.container.caches:
        folder = joined(Ref("dsv4_cache"), f"/caches/{cache_key(image)}-{gpu.key}")
        found.append(Bind(folder, CACHES_INSIDE, read_only=False, purpose="caches"))
    found += [Bind(host_path(m.source), m.target, m.read_only, "extra") for m in config.container.mounts]
    return tuple(found)


def _folder(program: Word) -> Word:
    """The folder of a program that is named by its path; "" for one that is looked for on PATH."""
    parts = program.join if isinstance(program, Joined) else (program,)
    last = parts[-1]
    if not isinstance(last, str) or "/" not in last or any(isinstance(p, str) and ":" in p for p in parts):
        return ""
    return joined(*parts[:-1], last.rpartition("/")[0]) or "/"


def cache_key(image: str) -> str:
    """An image as part of a folder's name, readable; all but vLLM's own with a digest, so that no two share one."""
    name, _, pinned = image.rpartition("/")[2].partition("@sha256:")
    key = re.sub(r"[^a-zA-Z0-9.]+", "-", f"{name}-{pinned[:12]}" if pinned else name)
    return key if _OWN_IMAGE.fullmatch(image) else f"{key}-{digest(image)[:8]}"


def environment(config: LaunchConfig, settled: Settings, program: Word, where: Where) -> tuple[Variable, ...]:
    """The server's environment: settled variables, caches in a container, then secrets by name.

    ``program`` is what a native server is started with.
    """
    found = {
        name.removeprefix("env."): Variable(name.removeprefix("env."), str(s.value), s.why, s.source)
        for name, s in settled.items()
        if name.startswith("env.")
    }
    if config.target.type == "docker" and config.container.caches:
        for cache in caches():
            found.setdefault(
                cache.variable, Variable(cache.variable, f"{CACHES_INSIDE}/{cache.directory}", cache.why, cache.source)
            )
    if config.target.type == "native" and (folder := _folder(program)):
        # FlashInfer builds kernels at run time with the ninja that lies beside its own Python.
        why = "the tools of the environment that the program is in, such as ninja for kernels built at run time"
        found.setdefault(
            "PATH", Variable("PATH", joined(folder, ":", Ref("path")), why, where(("target", "executable")))
        )
    gpus = settled["gpus"].value
    if config.target.type == "native" and gpus != "all":
        visible: Word = Ref("cuda_devices") if gpus == "auto" else ",".join(map(str, gpus))
        source = where(("gpus",))
        # CUDA numbers GPUs by speed unless told otherwise, NVML and everything here by their place on the bus.
        why = "so that CUDA numbers the GPUs as NVML does"
        found.setdefault("CUDA_DEVICE_ORDER", Variable("CUDA_DEVICE_ORDER", "PCI_BUS_ID", why, source))
        found["CUDA_VISIBLE_DEVICES"] = Variable("CUDA_VISIBLE_DEVICES", visible, "the config's gpus", source)
    if config.server.api_key_env or config.server.api_key_file:
        why = "the API key, by name: vLLM reads it from its environment, never from a command line"
        field = "api_key_env" if config.server.api_key_env else "api_key_file"
        source = config.server.api_key_env or KEY_VARIABLE
        found[KEY_VARIABLE] = Variable(KEY_VARIABLE, None, why, where(("server", field)), env_from=source)
    for name in config.secrets.pass_through:
        found[name] = Variable(name, None, "a secret, by name", where(("secrets", "pass_through")), env_from=name)
    return tuple(found.values())
