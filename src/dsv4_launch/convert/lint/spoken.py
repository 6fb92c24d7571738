"""What constraints and advisories say in the words of a config, said to somebody who has a command."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dsv4_launch.catalog.flags import FlagTable, flag_table
from dsv4_launch.convert.imports.engine import indexer_option
from dsv4_launch.convert.read.launch import Launch

# A path of a config, and the value that is named with it: a table, a quoted text, or a plain word.
_PATH = re.compile(
    r"\b(engine|env|parallel|container|server|start|model)\.([A-Za-z_]\w*(?:\.\w+)*)"
    r"(?:: (\{[^{}]*\}|\"[^\"]*\"|[\w./-]*\w))?"
)
# A key of a table in braces, which JSON wants in quotes.
_KEY = re.compile(r"([{,] ?)(\w+):")
_PARALLEL = {
    "tensor": "--tensor-parallel-size",
    "data": "--data-parallel-size",
    "pipeline": "--pipeline-parallel-size",
    "expert": "--enable-expert-parallel",
    "ranks": "the number of ranks",
}
# The rest by its path, for each kind of launch; "" is any other.
_REST: Mapping[str, Mapping[str, str]] = {
    "server.host: 127.0.0.1": {
        "docker": "-p 127.0.0.1:8000:8000",
        "compose": 'ports: ["127.0.0.1:8000:8000"]',
        "": "--host 127.0.0.1",
    },
    "server.api_key_env": {"": "VLLM_API_KEY"},
    "container.caches: true": {"": "a mount for each cache, and the variable that names it"},
    "container.ipc: host": {"docker": "--ipc=host", "kubernetes": "hostIPC: true", "": "ipc: host"},
    "container.shm_size": {
        "docker": "--shm-size=",
        "kubernetes": "an emptyDir of medium: Memory at /dev/shm of ",
        "": "shm_size: ",
    },
    "start.timeout_s": {"docker": "-e VLLM_ENGINE_READY_TIMEOUT_S=", "": "VLLM_ENGINE_READY_TIMEOUT_S="},
    "model.revision": {"": "--revision"},
}


def for_a_command(text: str, launch: Launch, release: str) -> str:
    """The text with config paths as options and variables of this kind of launch, by the release's own names."""
    table = flag_table(release)
    return _PATH.sub(lambda found: _spoken(found, launch, table), text)


def _spoken(found: re.Match[str], launch: Launch, table: FlagTable) -> str:
    head, name, value = found.groups()
    if head == "engine":
        return _option(name, value, table)
    if head == "parallel":
        return _with(_PARALLEL.get(name, found.group()), value)
    if head == "env":
        if value is None:
            return name
        return ("-e " if launch.kind == "docker" else "") + f"{name}={value}".replace('"', "")
    if head == "server" and launch.on_host_network:
        return "--host 127.0.0.1" if name == "host" else "VLLM_API_KEY"
    whole = _REST.get(found.group())
    if whole is not None:
        return whole.get(launch.kind, whole[""])
    known = _REST.get(f"{head}.{name}")
    return found.group() if known is None else known.get(launch.kind, known[""]) + (value or "")


def _option(name: str, value: str | None, table: FlagTable) -> str:
    if name == "indexer_cache_dtype":
        return indexer_option(value, table.version)
    first, dot, rest = name.partition(".")
    option = f"--{first.replace('_', '-')}"
    if dot:
        return f"{option}.{rest}" + (f"={value}" if value else "")
    if value == "false" and f"--no-{option[2:]}" in table.by_flag:
        return f"--no-{option[2:]}"
    if value and value.startswith("{"):
        return f"{option} '" + _KEY.sub(r'\1"\2":', value) + "'"
    return _with(option, value)


def _with(option: str, value: str | None) -> str:
    return option if value in (None, "true") else f"{option} {value}"
