"""A launch as a config: the same model, arguments, environment and container, and what could not be carried."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.models import Variant, by_repo, variants
from dsv4_launch.catalog.releases import nearest_release
from dsv4_launch.convert.imports.container import (
    gpus_of,
    import_container,
    labelled_config,
)
from dsv4_launch.convert.imports.engine import import_engine
from dsv4_launch.convert.imports.environment import import_environment
from dsv4_launch.convert.imports.imported import Draft, Note
from dsv4_launch.convert.read.engine import Engine, read_engine
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.words import Span
from dsv4_launch.dataclass import dataclass

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_REHEARSAL = "${DSV4_REHEARSAL_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/dsv4/rehearsal}/"
# The GPU of the documented deployment.
_LIKELY_GPU = "b200"
_ORDER = (
    "name", "model", "vllm", "gpu", "gpus", "parallel", "engine", "env", "container", "server", "target", "secrets",
    "start",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Imported:
    """``data`` is a config as plain data, ``at`` where each dotted path was read in the text.

    ``variant`` is the checkpoint whose facts hold; None when the model is another one. ``gpu_told``: by text or caller.
    """

    data: Mapping[str, Any]
    at: Mapping[str, Span]
    notes: tuple[Note, ...]
    engine: Engine
    variant: Variant | None
    gpu_told: bool


def import_launch(launch: Launch, text: str, vllm: str | None = None, gpu: str | None = None) -> Imported:
    """The config of a launch. Never raises for any text; whether the config is valid, ``load`` and ``resolve`` say."""
    engine = read_engine(launch, text, vllm)
    draft = Draft()
    target = "docker" if launch.contained else "native"
    draft.data["target"] = {"type": target}
    model = _model_word(engine)
    if launch.contained:
        import_container(launch, draft, model)
        gpus_of(launch, draft)
    told = gpu or draft.data.get("gpu") or ("cpu" if _REHEARSAL in launch.program or _REHEARSAL in model else "")
    arch = gpus()[told].arch if told in gpus() else ""
    import_engine(engine, draft, arch)
    variant = _model(engine, model, draft, launch)
    _server(engine, launch, draft)
    import_environment(launch, draft)
    _version(engine, launch, draft, told)
    draft.data["gpu"] = told or _LIKELY_GPU
    if not told:
        draft.say("assumed", f"gpu: {draft.data['gpu']}; the text does not say it (--gpu does)")
    draft.data["name"] = _name(launch, variant)
    if launch.program not in ("vllm", "docker", "kubectl", "docker compose"):
        _program(launch, draft, told)
    data = {key: draft.data[key] for key in _ORDER if key in draft.data}
    return Imported(data, draft.at, tuple(draft.notes), engine, variant, bool(told))


def labelled(launch: Launch) -> Mapping[str, Any] | None:
    """The config that the label of a rendered command carries: it is that very config while the words are unchanged."""
    data = labelled_config(launch)
    return data if isinstance(data, Mapping) else None


def _model_word(engine: Engine) -> str:
    given = engine.parsed.given.get("model") or engine.parsed.given.get("model_tag")
    return engine.parsed.model or (given.values[0] if given and given.values else "")


def _model(engine: Engine, model: str, draft: Draft, launch: Launch) -> Variant | None:
    span = next((w.span for w in engine.words if w.text == model), launch.span)
    opaque = any(w.opaque and w.text == model for w in engine.words)
    variant = by_repo(model) or _like(model, draft)
    revision = engine.parsed.given.get("revision")
    entry: dict[str, Any] = {}
    path = draft.data.pop("\x00path", "")
    local = model.startswith(("/", "./", "../", "~", "$HOME/", "${HOME}/"))
    if path or (local and not opaque) or (local and "HOME" in model and not model.startswith(_REHEARSAL)):
        entry["path"] = path or re.sub(r"^(\$HOME|\$\{HOME\})(?=/|$)", "~", model)
        if launch.contained and not path:
            draft.say(
                "lost", f"{model} is inside the container and not mounted; model.path is a folder of the host", span
            )
    elif _REPO.fullmatch(model):
        entry["repo"] = model
    if revision is not None and revision.values:
        entry["revision"] = revision.values[0]
    known = variant is not None and variant.repo == entry.get("repo")
    if model.startswith(_REHEARSAL) or path.startswith(_REHEARSAL):
        entry = {}
    if not entry or (known and "revision" not in entry):
        key = variant.key if variant else "flash"
        draft.put("", "model", key, span)
        if not known and not model.startswith(_REHEARSAL) and not path.startswith(_REHEARSAL):
            draft.say("assumed", f"model: {key}; the text says {model or 'no model'}", span)
        return variant if model else variants()["flash"]
    if variant is None or variant.repo.lower() != str(entry.get("repo", "")).lower():
        entry["variant"] = variant.key if variant else "flash"
        draft.say("assumed", f"model.variant: {entry['variant']}, whose facts are taken for {model}", span)
    draft.put("", "model", entry, span)
    return variant


def _like(model: str, draft: Draft) -> Variant | None:
    """The checkpoint that an unknown name or path is most likely one of; None when it is another model."""
    name = model.lower().rstrip("/").rsplit("/", 1)[-1]
    if "$" in model or not model:
        name = "v4-flash"
    if name == "model" and model.startswith("/"):
        name = "v4-flash"
    if not re.search(r"v4[-_.]?flash|flash[-_.]?v4|ds4|dsv4", name) or "pro" in re.split(r"[-_.]", name):
        return None
    speculative = draft.get("engine", "speculative_config")
    method = speculative.get("method") if isinstance(speculative, dict) else ""
    if "0731" in name:
        return variants().get("flash-0731")
    if "dspark" in name or method == "dspark":
        return variants().get("flash-dspark")
    return variants().get("flash-nvfp4" if "nvfp4" in name else "flash")


def _server(engine: Engine, launch: Launch, draft: Draft) -> None:
    given = engine.parsed.given
    host, port = given.get("host"), given.get("port")
    inside = _port(port.values[0]) if port is not None and port.values else 8000
    published = draft.data.pop("\x00published", None)
    own = draft.get("container", "network") == "host" or not launch.contained
    if own:
        value = host.values[0] if host is not None and host.values else "0.0.0.0"  # noqa: S104 - vLLM's own default
        fits = bool(_HOST.fullmatch(value))
        draft.put("server", "host", value if fits else "0.0.0.0", _at(engine, "host", launch))  # noqa: S104
        if published is not None:
            draft.say("changed", "the published port is left out: the network is the host's own")
        draft.put("server", "port", inside or 8000, _at(engine, "port", launch))
        if not fits or inside is None:
            draft.say(
                "lost", "host and port: only the shell that runs it knows the values", _at(engine, "port", launch)
            )
    elif published is None and launch.kind == "docker":
        draft.put("server", "host", "127.0.0.1", launch.span)
        draft.say("changed", "no port was published; the config publishes 8000 on this machine alone")
    elif published is not None and inside is not None and published != inside:
        draft.say(
            "changed",
            f"port {published} was published, the server listens on {inside}; the config publishes the right one",
        )
    elif inside not in (None, 8000):
        draft.say("changed", f"--port {inside} is left out: inside the container the server listens on 8000")
    names = given.get("served_model_name")
    if names is not None and names.values:
        served: str | list[str] = names.values[0] if len(names.values) == 1 else list(names.values)
        if not any(engine.words[n].opaque for n in names.at):
            draft.put("server", "served_model_name", served, _at(engine, "served_model_name", launch))
        else:
            draft.say("lost", f"--served-model-name {' '.join(names.values)}: only the shell knows it")
    for dest, field in (("api_key", "server.api_key_env"), ("hf_token", "secrets.hf_token")):
        if dest in given and given[dest].values:
            at = _at(engine, dest, launch)
            draft.say(
                "lost", f"the value of {given[dest].spelling}: a config holds no secret; {field} names its variable", at
            )
            if dest == "api_key":
                draft.put("server", "api_key_env", "VLLM_API_KEY", at)
            else:
                draft.put("secrets", "pass_through", ["HF_TOKEN"], at)


def _port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 65535 else None


def _at(engine: Engine, dest: str, launch: Launch) -> Span:
    given = engine.parsed.given.get(dest)
    if given is None or not given.at:
        return launch.span
    words = [engine.words[n] for n in given.at]
    return min(w.start for w in words), max(w.end for w in words)


def _version(engine: Engine, launch: Launch, draft: Draft, gpu: str) -> None:
    release = engine.release
    draft.put("", "vllm", release.version, launch.image.span if launch.image else launch.span)
    image = launch.image.text if launch.image is not None else ""
    known, exact = nearest_release(release.version)
    official = known.image if exact else f"vllm/vllm-openai:v{release.version}"
    if gpu in gpus() and gpus()[gpu].rehearsal_image:
        official = gpus()[gpu].rehearsal_image.format(vllm=release.version)
    if image and image != official and launch.image is not None:
        draft.put("container", "image", image, launch.image.span)
        if re.search(r"[A-Z]", image.partition(":")[0]) or "$" in image:
            draft.data["container"].pop("image")
            draft.say("lost", f"image {image}", launch.image.span)
    if release.told in ("latest", "unknown"):
        draft.say("assumed", f'vllm: "{release.version}"; the text names no release (--vllm does)')
    elif release.told == "custom":
        draft.say("assumed", f'vllm: "{release.version}", the nearest release of the image {image}')


def _name(launch: Launch, variant: Variant | None) -> str:
    option = launch.option("name")
    for wanted in (option.value if option else "", launch.name):
        wanted = (wanted or "").lower()
        if _NAME.fullmatch(wanted):
            return wanted
    return f"imported-{variant.key}" if variant else "imported"


def _program(launch: Launch, draft: Draft, gpu: str) -> None:
    program = launch.program
    if program in ("podman", "nerdctl"):
        draft.say("changed", f"{program} run: the config's target is docker")
    elif launch.kind == "native" and " -m " in program:
        draft.say("changed", f"`{program}` is written as `vllm serve`: the same server")
    elif launch.kind == "native" and not (gpu == "cpu" and program.startswith(_REHEARSAL)):
        draft.data["target"]["executable"] = re.sub(r"^(\$HOME|\$\{HOME\})(?=/|$)", "~", program)
