"""What the catalog says about a config: its checkpoint, GPU type and release, or why they are not there."""

from __future__ import annotations

import re
from collections.abc import Callable

from dsv4_launch.catalog.gpus import Gpu, gpus
from dsv4_launch.catalog.models import Variant, by_repo, variants
from dsv4_launch.catalog.releases import Release, nearest_release, releases
from dsv4_launch.catalog.version import newer_or_same
from dsv4_launch.config.model import LaunchConfig, Model
from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import Problem
from dsv4_launch.values import listed, nearest

Where = Callable[[tuple[str | int, ...]], str]

_TAG = re.compile(r":v?(\d+\.\d+\.\d+[A-Za-z0-9.]*)")


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalog says about a config's model, GPU and release."""

    variant: Variant
    gpu: Gpu
    version: str
    release: Release
    exact: bool


def look_up(config: LaunchConfig, where: Where) -> tuple[Known | None, list[Problem]]:
    """What the catalog knows of the GPU, checkpoint and release of a config; None, with why, where it lacks one."""
    problems: list[Problem] = []
    gpu = gpus().get(config.gpu)
    if gpu is None:
        meant = nearest(config.gpu, gpus())
        fix = f"Did you mean {meant}? " if meant else ""
        problems.append(
            Problem(
                "gpu-unknown",
                f"gpu {config.gpu!r} is not in the catalog.",
                where(("gpu",)),
                f"{fix}Known: {', '.join(gpus())}.",
            )
        )
    elif gpu.unsupported:
        problems.append(
            Problem(
                "gpu-unsupported",
                f"{gpu.title} cannot serve this model: {gpu.unsupported}.",
                where(("gpu",)),
                f"Supported: {listed(key for key, g in gpus().items() if not g.unsupported and key != 'cpu')}.",
            )
        )
    variant, problem = _variant(config, where)
    if problem is not None:
        problems.append(problem)
    version, problem = _version(config, gpu, where)
    if problem is not None:
        problems.append(problem)
    if gpu is None or variant is None or not version or problems:
        return None, problems
    release, exact = nearest_release(version)
    if gpu.arch != "cpu" and not newer_or_same(version, variant.min_vllm):
        problems.append(
            Problem(
                "version-too-old",
                f"vLLM {version} cannot serve {variant.title}: {variant.min_vllm} is the first that does.",
                where(("vllm",)),
                f'Set vllm: "{variant.min_vllm}" or newer.',
            )
        )
        return None, problems
    return Known(variant, gpu, version, release, exact), problems


def _variant(config: LaunchConfig, where: Where) -> tuple[Variant | None, Problem | None]:
    model = config.model
    if isinstance(model, Model) and bool(model.repo) == bool(model.path):
        return None, Problem("model", "model needs exactly one of repo and path.", where(("model",)))
    key = model if isinstance(model, str) else model.variant
    if isinstance(model, Model) and key is None:
        found = by_repo(model.repo) if model.repo else None
        if found:
            return found, None
        return None, Problem(
            "model",
            f"The catalog does not know {model.repo or model.path}.",
            where(("model",)),
            f"Say which checkpoint it is like, with model.variant: {listed(variants())}.",
        )
    if key in variants():
        return variants()[str(key)], None
    meant = nearest(str(key), variants())
    path = ("model",) if isinstance(model, str) else ("model", "variant")
    fix = f"Did you mean {meant}? " if meant else ""
    return None, Problem(
        "model-unknown",
        f"model {key!r} is not in the catalog.",
        where(path),
        f"{fix}Known: {', '.join(variants())}; any other by {{repo: owner/name, variant: …}}.",
    )


def _version(config: LaunchConfig, gpu: Gpu | None, where: Where) -> tuple[str, Problem | None]:
    tag = _TAG.search(config.container.image or "")
    if config.vllm is None:
        version = tag.group(1) if tag else gpu.rehearsal_vllm if gpu else ""
        if version:
            return version, None
        return "", Problem(
            "version-missing",
            "vllm is missing, and the image's tag does not tell it.",
            where(("container", "image")),
            'Write the release, quoted: vllm: "0.20.0".',
        )
    if tag and tag.group(1) != config.vllm and not config.vllm.startswith(tag.group(1)):
        return "", Problem(
            "version-conflict",
            f"vllm is {config.vllm}, but the image's tag says {tag.group(1)}.",
            where(("container", "image")),
            "Make them agree, or leave one of them out.",
        )
    full = f"{config.vllm}.0"
    if config.vllm not in releases() and full in releases():
        message = f"vllm {config.vllm} is no release; {full} is."
        return "", Problem("version-short", message, where(("vllm",)), f'Write vllm: "{full}".')
    return config.vllm, None


def facts_of(config: LaunchConfig, known: Known) -> dict[str, str]:
    """The facts that ``when`` of rules, constraints and advisories asks for (`WHEN_KEYS`), as text."""
    speculative = (config.engine.model_extra or {}).get("speculative_config")
    method = speculative.get("method", "") if isinstance(speculative, dict) else ""
    method = method or (config.engine.model_extra or {}).get("spec_method", "")
    expert, data = config.parallel.expert, config.parallel.data
    return {
        "model": known.variant.key,
        "precision": known.variant.precision,
        "draft": known.variant.draft,
        "arch": known.gpu.arch,
        "gpu": known.gpu.key,
        "strategy": ("dep" if data > 1 else "tep") if expert else ("dp" if data > 1 else "tp"),
        "vllm": known.release.version,
        "target": config.target.type,
        "indexer_cache_dtype": config.engine.indexer_cache_dtype or "",
        "speculative": str(method),
    }
