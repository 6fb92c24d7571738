"""The user's own config as a rehearsal: what is changed so that a machine without GPUs can run it, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from dsv4_launch.catalog.flags import check_value, flag_table, nearest_version
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.config.load import Loaded, from_data, to_data
from dsv4_launch.plan.arguments import NEUTRAL
from dsv4_launch.plan.resolve import resolve, resolve_to_fit
from dsv4_launch.plan.types import Notice, Plan

SUFFIX = "-rehearsal"
HOST = "127.0.0.1"
_LONGEST_NAME = 63
_SERVE = "https://docs.vllm.ai/en/stable/cli/serve/"

Data = dict[str, Any]


def rehearsed(
    loaded: Loaded,
    target: Literal["docker", "native"],
    *,
    variables: Mapping[str, str],
    free_port: Callable[[str, int], int],
) -> Plan:
    """The plan of a config's rehearsal; its notices of kind ``override`` say everything that differs, and why.

    ``variables`` is the environment that secrets would come from, ``free_port`` the wanted port or a free one instead.
    Raises InputError or ImpossibleError when the config itself is not valid, as `dsv4 validate` does.
    """
    resolve_to_fit(loaded)  # a config that is wrong for its own GPU is wrong
    data, where = _tuples(to_data(loaded.config)), loaded.origins.where
    told: list[Notice] = []

    def change(path: tuple[str, ...], new: Any, why: str) -> None:
        """Set (None: leave out) one value and say so, if it differs from what is written or holds by default."""
        table, old = data, _value(loaded, path)
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table.pop(path[-1], None)
        if new is not None:
            table[path[-1]] = new
        if old is not None and old != new:
            outcome = "left out" if new is None else f"{_shown(new)} instead of {_shown(old)}"
            told.append(Notice("override", f"{'.'.join(path)}: {outcome}", why, where(path)))

    cpu = gpus()["cpu"]
    if loaded.config.gpu != cpu.key:
        name = f"{data['name'][: _LONGEST_NAME - len(SUFFIX)].rstrip('._-')}{SUFFIX}"
        change(("name",), name, "a rehearsal never takes the name of the deployment itself")
        change(("gpu",), cpu.key, "a rehearsal runs on the CPU")
        change(("vllm",), cpu.rehearsal_vllm, "the vLLM release whose CPU build rehearsals run")
        _model(loaded, data, change)
        _engine(data, cpu.rehearsal_vllm, change)
    change(("gpus",), None, "no GPU is used")
    _surroundings(data, target, change)
    _secrets(data, variables, change)
    server = loaded.config.server
    change(("server", "host"), HOST, "a rehearsal listens on this machine only")
    change(("server", "port"), free_port(HOST, server.port), "another process listens on that port")
    plan = resolve(Loaded(from_data(data, loaded.origins), loaded.origins))
    return replace(plan, notices=(*told, *plan.notices))


_Change = Callable[[tuple[str, ...], Any, str], None]


def _model(loaded: Loaded, data: Data, change: _Change) -> None:
    """The catalog entry without revision or folder; clients still ask for the name that production will have."""
    model = data["model"]
    if not isinstance(model, dict):
        return
    own = resolve(loaded)
    if loaded.config.server.served_model_name is None:
        data.setdefault("server", {})["served_model_name"] = own.served_model_names[0]
    change(("model",), own.model.key, "a tiny model with random weights stands in for the checkpoint")


def _engine(data: Data, version: str, change: _Change) -> None:
    """Leave out the arguments that the CPU's release does not take, though the config's own release does."""
    table = flag_table(nearest_version(version)[0])
    for name, value in [*data.get("engine", {}).items()]:
        if name in NEUTRAL or value is None:
            continue
        flag = table.find(name)
        if flag is None:
            change(("engine", name), None, f"vLLM {version} has no such argument")
        elif "." not in name and (reason := check_value(flag, _lists(value))):
            change(("engine", name), None, f"vLLM {version} does not take it: {reason}")


def _surroundings(data: Data, target: str, change: _Change) -> None:
    container = data.get("container", {})
    own = data.get("target", {"type": "docker"})["type"]
    if own != target:
        change(("target", "type"), target, "a rehearsal runs natively unless --target docker asks for a container")
    for option in ("restart", "executable"):
        change(("target", option), None, "what fails in a rehearsal is not tried again, and its program is its own")
    data["target"] = {"type": target}
    if target == "docker":
        change(("container", "image"), None, "the rehearsal image holds the CPU build")
        if container.get("mounts"):
            change(("container", "mounts"), None, "folders of the production host")
        if container.get("shm_size"):
            change(("container", "shm_size"), None, "sized for GPU ranks")
        return
    container.pop("image", None)


def _secrets(data: Data, variables: Mapping[str, str], change: _Change) -> None:
    key = data.get("server", {}).get("api_key_env")
    if key and not variables.get(key):
        change(("server", "api_key_env"), None, f"{key} is not set here")
    if data.get("server", {}).get("api_key_file"):
        change(("server", "api_key_file"), None, "a rehearsal takes no key of the deployment's")
    named = data.get("secrets", {}).get("pass_through") or []
    missing = [name for name in named if not variables.get(name)]
    if missing:
        kept = [name for name in named if name not in missing]
        change(("secrets", "pass_through"), tuple(kept), f"{', '.join(missing)} is not set here")


def _value(loaded: Loaded, path: tuple[str, ...]) -> Any:
    """What the config says, or has by default, at a path. A restart of "no" and GPUs of "all" ask for nothing."""
    value: Any = loaded.config
    for key in path:
        value = getattr(value, key, None)
    if hasattr(value, "model_dump"):
        value = value.model_dump(exclude_unset=True)
    return None if value in ("no", "all", (), {}) else value


def _tuples(data: Any) -> Any:
    """Lists as tuples, which is what a config holds."""
    if isinstance(data, list):
        return tuple(_tuples(item) for item in data)
    return {key: _tuples(item) for key, item in data.items()} if isinstance(data, dict) else data


def _lists(data: Any) -> Any:
    """Tuples as lists, which is what JSON options hold."""
    if isinstance(data, tuple):
        return [_lists(item) for item in data]
    return {key: _lists(item) for key, item in data.items()} if isinstance(data, dict) else data


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
