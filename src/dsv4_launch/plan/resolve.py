"""Config to plan: everything decided, each value with its reason. The same config gives the same plan anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dsv4_launch.catalog.flags import flag_table
from dsv4_launch.catalog.gpus import Gpu, gpus
from dsv4_launch.catalog.models import Variant, by_repo, variants
from dsv4_launch.catalog.reference import deviations, source
from dsv4_launch.catalog.releases import Release, nearest_release
from dsv4_launch.catalog.version import within
from dsv4_launch.config.load import Loaded, to_data
from dsv4_launch.config.model import LaunchConfig, Model
from dsv4_launch.errors import ImpossibleError, InputError, Problem
from dsv4_launch.plan.arguments import arguments
from dsv4_launch.plan.binds import binds, environment, looks_like_a_secret
from dsv4_launch.plan.constrain import broken
from dsv4_launch.plan.settings import Setting, Settings, settle, written
from dsv4_launch.plan.types import (
    Notice,
    Plan,
    PlannedContainer,
    PlannedGpus,
    PlannedModel,
    PlannedNative,
    Stack,
)
from dsv4_launch.values import Ref, Word, frozen, host_path, joined, listed, nearest

Where = Callable[[tuple[str | int, ...]], str]

_TAG = re.compile(r":v?(\d+\.\d+\.\d+[A-Za-z0-9.]*)")
_MODEL_IN_CONTAINER = "/model"

# Problems that say "valid, but cannot be"; every other one says that the input is wrong.
_IMPOSSIBLE = frozenset({"flag-not-in-release", "layout", "gpu-unsupported", "version-too-old"})


def resolve(loaded: Loaded) -> Plan:
    """The plan of a config.

    Raises InputError (names that do not exist, values that vLLM would not parse) or ImpossibleError (valid, but no vLLM
    or GPU can do it), each with every problem of its kind and the file:line of each.
    """
    plan, problems = examine_config(loaded)
    if plan is None or problems:
        impossible = all(is_impossible(problem) for problem in problems)
        raise (ImpossibleError if impossible else InputError)(*problems)
    return plan


def is_impossible(problem: Problem) -> bool:
    """True when the problem is of the kind "valid, but cannot be"."""
    from dsv4_launch.catalog.rules import constraints

    return problem.code in _IMPOSSIBLE or any(problem.code == constraint.code for constraint in constraints())


@dataclass(frozen=True, slots=True)
class _Known:
    """What the catalog says about a config's model, GPU and release."""

    variant: Variant
    gpu: Gpu
    version: str
    release: Release
    exact: bool


def examine_config(loaded: Loaded) -> tuple[Plan | None, list[Problem]]:
    """The plan if there is one, and every problem that stands in its way."""
    config, where = loaded.config, loaded.origins.where
    known, problems = _look_up(config, where)
    problems += _secrets(config, where)
    if known is None:
        return None, problems
    facts = _facts(config, known)
    explicit = written(config, where)
    # Constraints judge what the config asks for on its GPU; a rehearsal judges what is left of it.
    settled, notices = settle(explicit, facts, {"model.repo": _repo(config, known.variant)})
    table = flag_table(known.release.version)
    found, refused = arguments(settled, table, where)
    problems += refused + broken(settled, facts, where) + _layout(config, known, settled, where)
    if problems:
        return None, problems
    model = _model(config, known)
    image = config.container.image or _image(known)
    served = settled.get("server.served_model_name")
    names = served.value if served else (model.repo or str(config.name))
    plan = Plan(
        name=config.name,
        target=config.target.type,
        vllm=known.version,
        stack=_stack(config, known),
        model=model,
        gpus=_gpus(config, known, settled),
        parallel={name: int(settled[f"parallel.{name}"].value) for name in ("tensor", "data", "pipeline", "expert")},
        arguments=found,
        environment=environment(config, settled, where),
        host=config.server.host,
        port=config.server.port,
        served_model_names=(names,) if isinstance(names, str) else tuple(names),
        api_key_env=config.server.api_key_env or "",
        hf_token_env=config.secrets.hf_token,
        container=PlannedContainer(
            image=image,
            runtime="" if settled["container.runtime"].value == "default" else str(settled["container.runtime"].value),
            ipc=str(settled["container.ipc"].value),
            shm_size=config.container.shm_size or "",
            restart=config.target.restart if config.target.type == "docker" else "no",
            binds=binds(config, known.gpu, image, _model_source(config, known)),
            ulimits=dict(config.container.ulimits),
        ),
        native=PlannedNative(
            _executable(config, known), config.target.restart if config.target.type == "native" else "no"
        ),
        timeout_s=config.start.timeout_s,
        notices=(*notices, *_doubts(known), *_deviations(config)),
        config=frozen(to_data(config)),
    )
    return plan, []


def _look_up(config: LaunchConfig, where: Where) -> tuple[_Known | None, list[Problem]]:
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
    if gpu.arch != "cpu" and not within(release.version, f">={variant.min_vllm}"):
        problems.append(
            Problem(
                "version-too-old",
                f"vLLM {version} cannot serve {variant.title}: {variant.min_vllm} is the first that does.",
                where(("vllm",)),
                f'Set vllm: "{variant.min_vllm}" or newer.',
            )
        )
        return None, problems
    return _Known(variant, gpu, version, release, exact), problems


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
    return config.vllm, None


def _secrets(config: LaunchConfig, where: Where) -> list[Problem]:
    fix = "Export it under a variable's name, and write that name."
    problems = [
        Problem(
            "secret-in-config",
            f"{'.'.join(path)} holds what looks like a secret, not the name of a variable.",
            where(path),
            fix,
        )
        for path, name in (
            (("secrets", "hf_token"), config.secrets.hf_token),
            (("server", "api_key_env"), config.server.api_key_env or ""),
            *((("secrets", "pass_through"), name) for name in config.secrets.pass_through),
        )
        if looks_like_a_secret("", name)
    ]
    problems += [
        Problem(
            "secret-in-config",
            f"env.{name} would put a secret into a config.",
            where(("env", name)),
            f"Export {name} and write secrets: {{pass_through: [{name}]}}.",
        )
        for name, value in config.env.items()
        if looks_like_a_secret(name, value)
    ]
    return problems


def _facts(config: LaunchConfig, known: _Known) -> dict[str, str]:
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


def _layout(config: LaunchConfig, known: _Known, settled: Settings, where: Where) -> list[Problem]:
    if known.gpu.arch == "cpu":
        return []
    count = _count(settled)
    if isinstance(config.gpus, tuple):
        if len(set(config.gpus)) != len(config.gpus):
            return [Problem("gpus", "gpus names a GPU twice.", where(("gpus",)))]
        if len(config.gpus) < count:
            return [
                Problem(
                    "layout",
                    f"gpus lists {len(config.gpus)} GPUs; the parallel layout needs {count}.",
                    where(("gpus",)),
                    "List more GPUs, or lower parallel.tensor, parallel.data or parallel.pipeline.",
                )
            ]
    if known.gpu.gpus_per_node and count > known.gpu.gpus_per_node:
        return [
            Problem(
                "layout",
                f"The parallel layout needs {count} GPUs; a node has {known.gpu.gpus_per_node} {known.gpu.title}.",
                where(("parallel",)),
                "Lower parallel.tensor, parallel.data or parallel.pipeline.",
            )
        ]
    return []


def _count(settled: Settings) -> int:
    count = 1
    for name in ("tensor", "data", "pipeline"):
        count *= int(settled[f"parallel.{name}"].value)
    return count


def _gpus(config: LaunchConfig, known: _Known, settled: Settings) -> PlannedGpus:
    gpu = known.gpu
    # 0.92 is vLLM's own default (vllm 0.20.0 config/cache.py:66).
    utilization = settled.get("engine.gpu_memory_utilization", Setting(0.92, "", "")).value
    return PlannedGpus(
        key=gpu.key,
        names=gpu.names,
        count=0 if gpu.arch == "cpu" else _count(settled),
        visible=config.gpus,
        memory_mib=gpu.memory_mib,
        compute_capability=gpu.compute_capability,
        arch=gpu.arch,
        memory_utilization=float(utilization),
    )


def _repo(config: LaunchConfig, variant: Variant) -> str:
    return config.model.repo or variant.repo if isinstance(config.model, Model) else variant.repo


def _model_source(config: LaunchConfig, known: _Known) -> Word | None:
    """The folder of the host that holds the checkpoint, when it does not come from the Hub."""
    if isinstance(config.model, Model) and config.model.path:
        return host_path(config.model.path)
    return joined(Ref("rehearsal_home"), "/model") if known.gpu.arch == "cpu" else None


def _model(config: LaunchConfig, known: _Known) -> PlannedModel:
    variant, folder = known.variant, _model_source(config, known)
    repo = "" if isinstance(config.model, Model) and config.model.path else _repo(config, variant)
    served: Word = repo
    if folder is not None:
        served = _MODEL_IN_CONTAINER if config.target.type == "docker" else folder
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


def _image(known: _Known) -> str:
    if known.gpu.rehearsal_image:
        return known.gpu.rehearsal_image.format(vllm=known.version)
    return known.release.image if known.exact else f"vllm/vllm-openai:v{known.version}"


def _stack(config: LaunchConfig, known: _Known) -> Stack:
    """The CUDA of the release's own image; of another image nothing is known before it is looked at."""
    if known.gpu.arch == "cpu" or (config.container.image and config.container.image != known.release.image):
        return Stack("", "", "")
    return Stack(known.release.cuda, known.release.min_driver, known.release.source)


def _executable(config: LaunchConfig, known: _Known) -> Word:
    if config.target.type == "native" and config.target.executable:
        return host_path(config.target.executable)
    return joined(Ref("rehearsal_home"), "/venv/bin/vllm") if known.gpu.arch == "cpu" else "vllm"


def _doubts(known: _Known) -> tuple[Notice, ...]:
    if known.exact:
        return ()
    why = f"its flags and rules are those of {known.release.version}, the nearest release in the catalog"
    return (Notice("warning", f"vLLM {known.version} is not a release that is known here", why),)


def _deviations(config: LaunchConfig) -> tuple[Notice, ...]:
    if config.target.type != "docker":
        return ()
    return tuple(
        Notice(
            "deviation", f"{' '.join(d.words) or 'not on the page'}: {' '.join(d.ours) or 'left out'}", d.why, source()
        )
        for d in deviations()
    )
