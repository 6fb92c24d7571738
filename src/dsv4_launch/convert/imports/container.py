"""Container options as fields of a config; the rest goes verbatim into ``container.options``."""

from __future__ import annotations

import json
import re

from dsv4_launch.convert.imports.hardened import hardened
from dsv4_launch.convert.imports.imported import Draft
from dsv4_launch.convert.read.launch import Launch, Option
from dsv4_launch.plan.binds import CACHES_INSIDE, WEIGHTS_INSIDE
from dsv4_launch.plan.types import LABEL_GPUS

_HUB_HOMES = frozenset(
    {
        "${HF_HOME:-$HOME/.cache/huggingface}",
        "~/.cache/huggingface",
        "$HOME/.cache/huggingface",
        "${HOME}/.cache/huggingface",
    }
)
_BYTES = re.compile(r"(\d+)\s*([bkmgBKMG]?)(?:i?[bB])?")
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:[0-9]+)?")
_LIMIT = re.compile(r"([a-z]+)=(-?\d+)(?::(-?\d+))?")
_PUBLISH = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f.]*|localhost):)?(\d{1,5}):(\d{1,5})(?:/tcp)?")
_OUR_CACHES = re.compile(r"\$\{XDG_CACHE_HOME:-\$HOME/\.cache\}/dsv4/caches/[\w.-]+-([a-z0-9]+(?:-station-[a-z0-9]+)?)")
_LOG = re.compile(r"json-file max-file=([1-9]\d{0,2}) max-size=([1-9]\d{0,9}[kmg])")
_NOT_CARRIED = {
    "interactive": "a terminal is not needed: the container runs detached",
    "tty": "a terminal is not needed: the container runs detached",
    "rm": "the container stays after a crash, so that its logs can be read",
    "detach": "",
    "name": "",
    "privileged": "it gives the server the whole machine, and vLLM does not need it",
    "expose": "",
    "gpus": "",
    "replace": "",
}


def import_container(launch: Launch, draft: Draft, served: str) -> None:
    """Every container option of the launch; ``served`` is the model as vLLM is given it."""
    draft.put("container", "runtime", "default", launch.span)
    draft.put("container", "ipc", "private", launch.span)
    draft.put("container", "caches", False, launch.span)
    for name in ("runtime", "ipc", "caches"):
        draft.at.pop(f"container.{name}")
    for option in launch.options:
        _option(option, draft, served)
    _log(launch, draft)
    hardened(draft)
    for word in launch.loose:
        draft.say("lost", f"{word.text}: not understood", word.span)


def _option(option: Option, draft: Draft, served: str) -> None:
    value = option.value or ""
    match option.name:
        case "runtime" if value == "nvidia":
            draft.put("container", "runtime", "nvidia", option.span)
        case "ipc" if value in ("host", "private", "shareable"):
            draft.put("container", "ipc", value, option.span)
        case "network" if value == "host":
            draft.put("container", "network", "host", option.span)
        case "shm-size" if size := _BYTES.fullmatch(value):
            draft.put("container", "shm_size", size.group(1) + size.group(2), option.span)
        case "restart" if _RESTART.fullmatch(value):
            if value != "no":
                draft.data.setdefault("target", {"type": "docker"})["restart"] = value
        case "ulimit" if (limit := _LIMIT.fullmatch(value)) and limit.group(3) in (None, limit.group(2)):
            draft.data["container"].setdefault("ulimits", {})[limit.group(1)] = int(limit.group(2))
        case "volume":
            _mount(option, draft, served)
        case "mount" if bind := _bind_mount(value):
            _mount(Option("volume", bind, option.words, option.opaque), draft, served)
        case "publish":
            _publish(option, draft)
        case "label" if value.startswith("dsv4."):
            pass
        case "stop-timeout" if value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= 86400:
            draft.put("container", "stop_timeout_s", int(value), option.span)
        case "log-driver" | "log-opt":
            pass  # together, in _log
        case "entrypoint" if value.rsplit("/", 1)[-1] in ("vllm", "") or re.search(r"(sh|python[\d.]*)$", value):
            draft.say("changed", "--entrypoint is left out: the image's own starts `vllm serve`", option.span)
        case name if name in _NOT_CARRIED:
            if _NOT_CARRIED[name]:
                draft.say("changed", f"{option.words[0].text} is left out: {_NOT_CARRIED[name]}", option.span)
        case _:
            for word in _verbatim(option):
                draft.append("container", "options", word, option.span)


def _log(launch: Launch, draft: Draft) -> None:
    """The log's driver and options: as fields where they bound it by size, else as they are."""
    found = [*launch.all("log-driver"), *launch.all("log-opt")]
    values = sorted(option.value or "" for option in found)
    bounded = _LOG.fullmatch(" ".join(values))
    if bounded:
        for name, value in (("log_max_size", bounded.group(2)), ("log_files", int(bounded.group(1)))):
            draft.put("container", name, value, found[0].span)
    for option in () if bounded else found:
        for word in _verbatim(option):
            draft.append("container", "options", word, option.span)
    if not found and any((option.value or "").startswith("dsv4.name=") for option in launch.all("label")):
        draft.put("container", "log_max_size", None, launch.span)  # ours, which leaves it to the engine


def _verbatim(option: Option) -> list[str]:
    if option.value is None:
        return [f"--{option.name}"] if option.name else [option.words[0].text]
    if not option.name:
        return [option.value]
    return (
        [word.text for word in option.words]
        if option.words[0].text.startswith("-")
        else [f"--{option.name}={option.value}"]
    )


def _bind_mount(value: str) -> str:
    parts = dict(part.partition("=")[::2] for part in value.split(","))
    source = parts.get("source", parts.get("src", ""))
    target = parts.get("target", parts.get("dst", parts.get("destination", "")))
    if parts.get("type") != "bind" or not source or not target:
        return ""
    read_only = ":ro" if "readonly" in parts or "ro" in parts else ""
    return f"{source}:{target}{read_only}"


def split_volume(value: str) -> tuple[str, str, str]:
    """Source, target and mode of ``-v``; the source may hold ``${X:-…}``."""
    depth = 0
    cuts: list[int] = []
    for n, c in enumerate(value):
        depth += (c in "{(") - (c in "})")
        if c == ":" and depth == 0:
            cuts.append(n)
    if not cuts:
        return "", value, ""
    source, rest = value[: cuts[0]], value[cuts[0] + 1 :]
    target, _, mode = rest.partition(":")
    return source, target, mode


def _mount(option: Option, draft: Draft, served: str) -> None:
    source, target, mode = split_volume(option.value or "")
    read_only = "ro" in mode.split(",")
    if target == WEIGHTS_INSIDE and source in _HUB_HOMES and not read_only:
        return
    if target == CACHES_INSIDE and (ours := _OUR_CACHES.fullmatch(source)):
        draft.put("container", "caches", True, option.span)
        draft.at["gpu"] = option.span
        draft.data.setdefault("gpu", ours.group(1))
        return
    if target.rstrip("/") == WEIGHTS_INSIDE:
        draft.say("lost", f"weights in {source}: export HF_HOME={source} where it is launched", option.span)
        return
    source = re.sub(r"^(\$HOME|\$\{HOME\})(?=/|$)", "~", source)
    if served.startswith("/") and (served == target or served.startswith(f"{target.rstrip('/')}/")) and source:
        draft.data["\x00path"] = source + served[len(target.rstrip("/")) :]
        if served.rstrip("/") == target.rstrip("/"):
            return
    if not target.startswith("/") or "," in target or (mode and mode not in ("ro", "rw")) or not source:
        for word in _verbatim(option):
            draft.append("container", "options", word, option.span)
        return
    entry: dict[str, object] = {"source": source, "target": target}
    if not read_only:
        entry["read_only"] = False
    draft.append("container", "mounts", entry, option.span)


def _publish(option: Option, draft: Draft) -> None:
    found = _PUBLISH.fullmatch(option.value or "")
    if found is None or "server.port" in draft.at:
        for word in _verbatim(option):
            draft.append("container", "options", word, option.span)
        return
    host = (found.group(1) or "0.0.0.0").strip("[]")  # noqa: S104 - what docker does without an address
    draft.put("server", "host", host, option.span)
    draft.put("server", "port", int(found.group(2)), option.span)
    draft.data["\x00published"] = int(found.group(3))


def gpus_of(launch: Launch, draft: Draft) -> None:
    """``--gpus`` as the config's list, or all."""
    option = launch.option("gpus")
    if option is None or option.opaque:
        return
    value = (option.value or "").strip("'\"")
    if any((label.value or "").startswith(f"{LABEL_GPUS}=") for label in launch.all("label")):
        draft.put("", "gpus", "auto", option.span)  # a launch of ours chose them
        return
    devices = re.fullmatch(r"device=(\d+(?:,\d+)*)", value)
    if devices:
        draft.put("", "gpus", [int(n) for n in devices.group(1).split(",")], option.span)
    elif value.isascii() and value.isdigit() and 0 < int(value) <= 64:
        draft.put("", "gpus", list(range(int(value))), option.span)
    elif value not in ("all", "-1"):
        draft.say("lost", f"--gpus {value}: GPUs are named by index, or all", option.span)


def labelled_config(launch: Launch) -> object:
    """The config that our own label carries, as plain data; None when there is none."""
    for option in launch.all("label"):
        name, _, value = (option.value or "").partition("=")
        if name == "dsv4.config":
            try:
                return json.loads(value)
            except (ValueError, RecursionError):
                return None
    return None
