"""What the engine's inspection of a container says, as a service: pure, and tried on recorded output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dsv4_launch.plan.types import LABEL_GPUS
from dsv4_launch.run.service import Life, Seen
from dsv4_launch.targets.docker import CONTAINER_PORT, LABEL_CONFIG, LABEL_DIGEST, LABEL_NAME, LABEL_USER

_NEVER: Final = "0001-01-01T00:00:00Z"
_LIVES: Mapping[str, Life] = {
    "running": "running",
    "exited": "exited",
    "dead": "exited",
    "removing": "exited",
    "created": "created",
    "restarting": "restarting",
    "paused": "paused",
}


def seen(data: Mapping[str, Any]) -> Seen:
    """What the engine's inspection of a container says."""
    state, config = data["State"], data.get("Config") or {}
    labels = config.get("Labels") or {}
    name = str(data["Name"]).lstrip("/")
    life = _LIVES.get(state["Status"], "exited")
    over = life == "exited"
    code = state.get("ExitCode")
    return Seen(
        name=name,
        target="docker",
        life=life,
        digest=labels.get(LABEL_DIGEST, ""),
        config=config_of(labels.get(LABEL_CONFIG, "")),
        user=labels.get(LABEL_USER, ""),
        base_url=_base_url(data),
        created=data.get("Created", ""),
        started=_time(state.get("StartedAt")),
        finished=_time(state.get("FinishedAt")) if over else "",
        ended_before=_time(state.get("FinishedAt")) if life == "running" else "",
        exit_code=code if over or life == "restarting" else None,
        error=state.get("Error") or "",
        out_of_memory=bool(state.get("OOMKilled")),
        # `docker stop` sends SIGTERM: vLLM then ends with 0, a process that does not handle it with 143.
        stopped=over and code in (0, 143),
        restarts=int(data.get("RestartCount") or 0),
        restart=_restart(data),
        pid=int(state.get("Pid") or 0),
        image=config.get("Image", ""),
        image_id=str(data.get("Image") or ""),
        stop_timeout_s=int(config.get("StopTimeout") or 0),
        gpus=labels.get(LABEL_GPUS, ""),
        argv=tuple(map(str, config.get("Cmd") or ())),
        foreign=labels.get(LABEL_NAME) != name,
    )


def _time(value: object) -> str:
    return str(value) if value and value != _NEVER else ""


def _restart(data: Mapping[str, Any]) -> str:
    policy = (data.get("HostConfig") or {}).get("RestartPolicy") or {}
    most = int(policy.get("MaximumRetryCount") or 0)
    return f"{policy.get('Name') or 'no'}{f':{most}' if most else ''}"


def config_of(text: str) -> Mapping[str, Any]:
    """The config that a label holds; {} for what is none."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _base_url(data: Mapping[str, Any]) -> str:
    config = data.get("HostConfig") or {}
    if config.get("NetworkMode") == "host":
        words = [str(word) for word in (data.get("Config") or {}).get("Cmd") or ()]
        return _url(_after(words, "--host"), _after(words, "--port"))
    for item in (config.get("PortBindings") or {}).get(f"{CONTAINER_PORT}/tcp") or ():
        return _url(item.get("HostIp") or "", item.get("HostPort", ""))
    return ""


def _url(host: str, port: str) -> str:
    """Where this machine reaches a server that listens on an address; "" without a port."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{port}" if port else ""


def _after(words: list[str], option: str) -> str:
    """The value of an option among the words of a command."""
    return words[words.index(option) + 1] if option in words[:-1] else ""
