"""An imported launch as settled values and facts, for constraints, advisories and lint rules: nothing is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsv4_launch.catalog.caches import caches
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.convert.imports.container import split_volume
from dsv4_launch.convert.imports.importer import Imported
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.plan.settings import Setting

# The GPU whose facts stand for "not known": no arch, no node size, so that only what holds on every GPU is found.
_ANY_GPU = "cpu"
_DEFAULTS: Mapping[str, Any] = {
    "gpus": "all",
    "parallel.tensor": 1,
    "parallel.data": 1,
    "parallel.pipeline": 1,
    "parallel.expert": False,
    "start.timeout_s": 600,  # vLLM's own: vllm 0.20.0 envs.py, VLLM_ENGINE_READY_TIMEOUT_S
}


def facts_of(imported: Imported) -> dict[str, str]:
    """The facts that conditions ask about; of an unknown GPU arch is empty."""
    data, variant = imported.data, imported.variant
    gpu = gpus().get(str(data["gpu"])) if imported.gpu_told else None
    parallel, engine = data.get("parallel", {}), data.get("engine", {})
    expert, ranks = parallel.get("expert", False), parallel.get("data", 1)
    speculative = engine.get("speculative_config")
    method = speculative.get("method", "") if isinstance(speculative, Mapping) else ""
    return {
        "model": variant.key if variant else "flash",
        "precision": variant.precision if variant else "",
        "draft": variant.draft if variant else "",
        "arch": gpu.arch if gpu else "",
        "gpu": gpu.key if gpu else _ANY_GPU,
        "strategy": ("dep" if ranks > 1 else "tep") if expert else ("dp" if ranks > 1 else "tp"),
        "vllm": imported.engine.release.table,
        "target": "docker" if "container" in data else "native",
        "indexer_cache_dtype": str(engine.get("indexer_cache_dtype") or _indexer(engine)),
        "speculative": str(method or engine.get("speculative_config.method") or engine.get("spec_method", "")),
    }


def _indexer(engine: Mapping[str, Any]) -> str:
    attention = engine.get("attention_config")
    table = attention if isinstance(attention, Mapping) else {}
    old = table.get("use_fp4_indexer_cache", engine.get("attention_config.use_fp4_indexer_cache"))
    new = table.get("indexer_kv_dtype", engine.get("attention_config.indexer_kv_dtype"))
    return "fp4" if old is True or new == "mxfp4" else ""


def settings_of(imported: Imported) -> dict[str, Setting]:
    """Every value by its path."""
    found: dict[str, Any] = dict(_DEFAULTS)
    for table, values in imported.data.items():
        if isinstance(values, Mapping) and table in ("parallel", "engine", "server", "container", "start", "env"):
            found |= {f"{table}.{name}": value for name, value in values.items()}
    if "gpus" in imported.data:
        named = imported.data["gpus"]
        found["gpus"] = tuple(named) if isinstance(named, list) else named
    if "server.host" not in found and "container" in imported.data:
        found["server.host"] = "127.0.0.1"  # nothing is published
    return {path: Setting(value, "", "", True) for path, value in found.items()}


def run_values(launch: Launch, imported: Imported) -> dict[str, Any]:
    """The launch as it was written, as ``run.…`` values; what is not so is absent."""
    engine = imported.engine
    values: dict[str, Any] = {
        "run.complete": not engine.open_ended,
        "run.known_model": imported.variant is not None,
        "run.model": True,
    }
    if not launch.contained:
        return values
    for name in ("interactive", "detach", "rm", "privileged"):
        if launch.option(name) is not None:
            values[f"run.{name}"] = True
    image = launch.image.text if launch.image is not None else ""
    if image and "@" not in image and not (launch.image and launch.image.opaque):
        tag = image.rsplit("/", 1)[-1].partition(":")[2] or "none"
        values["run.tag"] = "nightly" if tag.startswith("nightly") else tag
    known = all(option.name for option in launch.options)
    if launch.kind in ("docker", "compose") and known and imported.data.get("gpu") != "cpu":
        devices = [o for o in launch.all("device") if "nvidia" in (o.value or "")]
        if not (launch.option("gpus") or devices or launch.option("privileged") or launch.option("runtime")):
            values["run.gpus"] = "none"
    _ports(launch, imported, values, known=known)
    targets = [split_volume(option.value or "")[1] for option in (*launch.all("volume"), *launch.all("mount"))]
    model = engine.parsed.model or ""
    hub = not model.startswith(("/", ".")) and "$" not in model
    folder = engine.parsed.given.get("download_dir")
    into = folder.values[0] if folder is not None and folder.values else ""
    kept = any(target and into.startswith(target.rstrip("/")) for target in targets)
    if launch.kind in ("docker", "compose") and known and hub and not kept and not any(map(_holds_weights, targets)):
        values["run.weights"] = "none"
    return values


def _holds_weights(target: str) -> bool:
    plain = target.rstrip("/")
    return "huggingface" in target or "hf" in target.lower() or plain.endswith("/.cache") or plain in ("/root", "/data")


def keeps_caches(launch: Launch) -> bool:
    """True when a mount holds a compile cache: vLLM's own folder, a parent of it, or what a cache variable names."""
    targets = [split_volume(option.value or "")[1].rstrip("/") for option in launch.all("volume")]
    targets += [part.partition("=")[2] for o in launch.all("mount") for part in (o.value or "").split(",")]
    named = {v.value.rstrip("/") for v in launch.variables if v.value and v.name in {c.variable for c in caches()}}
    wanted = {"/root/.cache/vllm", "/root/.triton", "/root/.tilelang", "/root/.cache/flashinfer", *named}
    named_after = any(word in target for target in targets for word in ("vllm", "triton", "tilelang", "jit-cache"))
    return named_after or any(w == t or w.startswith(f"{t}/") for t in targets if t for w in wanted)


def _ports(launch: Launch, imported: Imported, values: dict[str, Any], *, known: bool) -> None:
    host = imported.engine.parsed.given.get("host")
    network = launch.option("network")
    publish = launch.option("publish")
    if launch.on_host_network:
        if publish is not None:
            values["run.published_for_nothing"] = True
        return
    if host is not None and host.values and host.values[0] in ("127.0.0.1", "localhost", "::1"):
        values["run.loopback_inside"] = True
    if launch.kind == "docker" and known and network is None and not publish and not launch.option("publish-all"):
        values["run.published"] = "none"
