"""What has become of a deployment: absent, starting, ready, failed or stopped; and is it what the config says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dsv4_launch.config.load import Loaded, load
from dsv4_launch.run.api_key import key_of
from dsv4_launch.run.endpoint import Answer
from dsv4_launch.run.service import Seen
from dsv4_launch.run.start.failure import cause, ending
from dsv4_launch.run.start.log_tail import KEPT_LINES
from dsv4_launch.run.start.stages import Stage, read
from dsv4_launch.run.status.now import Serving
from dsv4_launch.values import counted

# A log of weeks is not read from its beginning.
MAX_LINES = 20_000

State = Literal["absent", "starting", "ready", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Status:
    """One deployment now. ``why``: of a failure, or of a start that hangs. ``drift``: what runs is not the config's.

    ``restart``: who starts it again by itself (the policy of the engine or supervisor). ``watcher``: the process that
    watches it ("" for none), ``last_failure`` what that told last, and ``restarts`` counts its restarts too.
    ``serving`` is what its metrics tell, ``gpus_now`` the GPUs that it uses; both None where nobody can tell.
    """

    name: str
    state: State
    stage: str = ""
    why: str = ""
    drift: str = ""
    target: str = ""
    base_url: str = ""
    models: tuple[str, ...] = ()
    user: str = ""
    created: str = ""
    started: str = ""
    finished: str = ""
    exit_code: int | None = None
    restarts: int = 0
    digest: str = ""
    image: str = ""
    pid: int = 0
    gpus: str = ""
    vllm: str = ""
    uptime_s: float | None = None
    restart: str = "no"
    watcher: str = ""
    last_failure: Mapping[str, Any] | None = None
    serving: Serving | None = None
    gpus_now: tuple[Any, ...] | None = None


def judge(found: Seen, answer: Answer | None, stage: Stage, drift: str = "") -> Status:
    """The status of a service that was seen. ``answer`` is its endpoint's, None when it was not asked."""
    state, why, reached = _state(found, answer, stage)
    return Status(
        name=found.name,
        state=state,
        stage=reached,
        why=why,
        drift=drift,
        target=found.target,
        base_url=found.base_url,
        models=answer.models if answer else (),
        user=found.user,
        created=found.created,
        started=found.started,
        finished=found.finished,
        exit_code=found.exit_code,
        restarts=found.restarts,
        digest=found.digest,
        image=found.image,
        pid=found.pid,
        gpus=found.gpus,
        vllm=str(found.config.get("vllm") or ""),
        restart=found.restart,
    )


def _state(found: Seen, answer: Answer | None, stage: Stage) -> tuple[State, str, str]:
    if found.life == "created":
        return ("failed", found.error, "") if found.error else ("starting", "", "created, not started yet")
    if found.life == "exited":
        return ("stopped", "", "") if found.stopped else ("failed", _why_ended(found, stage), "")
    if found.life == "paused":
        return "failed", "it is paused: `docker unpause` lets it go on", ""
    if answer is not None and answer.up:
        return "ready", answer.detail, ""
    if found.life == "restarting" or found.restarts >= 3:
        return "failed", f"it crashes again and again: {ending(found)}, {counted(found.restarts, 'restart')}", ""
    was_up = stage.key == "up"
    if was_up and answer is not None:
        return "failed", f"it was up and does not answer any more: {answer.detail}", ""
    why = answer.detail if answer is not None and answer.verdict in ("other-model", "unhealthy") else ""
    detail = f" ({stage.detail})" if stage.detail else ""
    return "starting", why, f"{stage.text}{detail}"


def _why_ended(found: Seen, stage: Stage) -> str:
    during = "" if stage.key == "up" else f", while {stage.text}" if stage.order >= 0 else ", before it said anything"
    return f"{ending(found)}{during}"


def look(
    found: Seen,
    lines: Callable[[], Iterable[str]],
    asks: Callable[[str, Sequence[str], str], Answer],
    environ: Mapping[str, str],
    drift: str = "",
) -> Status:
    """The status of a service: its log is read for the stage only when its endpoint does not answer."""
    names, server = endpoint_of(found.config)
    answer = None
    if found.life == "running" and found.base_url:
        answer = asks(found.base_url, names, key_of(server, environ))
    if answer is not None and answer.up:
        return judge(found, answer, Stage(), drift)
    said = list(lines())
    stage = read(said)
    if stage.order < 0 and len(said) >= MAX_LINES:  # its start is further back than we look
        stage = Stage("up", "answering")
    status = judge(found, answer, stage, drift)
    blamed = cause(said[-KEPT_LINES:]) if status.state == "failed" else ""
    return replace(status, why=f"{status.why}; it says: {blamed}") if blamed else status


def loaded(config: Mapping[str, Any]) -> Loaded:
    """The config that a service carries, read again as a file would be. Raises InputError."""
    import yaml

    return load(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True), "running config")


def endpoint_of(config: Mapping[str, Any]) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """The served model names that a config sets (none: not told), and its table about the endpoint."""
    server = config.get("server") or {}
    names = server.get("served_model_name") or ()
    return ((names,) if isinstance(names, str) else tuple(names)), server
