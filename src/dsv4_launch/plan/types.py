"""The plan: everything that follows from a config, decided, with the reason for each value.

A plan is a frozen value that prints as JSON and comes back from it. It names no secret and nothing that only a host
knows: those are placeholders (`dsv4_launch.values.Ref`) and names of environment variables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import InputError
from dsv4_launch.values import Word, canonical_json, frozen

# The label of a container that says which GPUs its launch chose (`gpus: auto`).
LABEL_GPUS = "dsv4.gpus"


@dataclass(frozen=True, slots=True)
class Argument:
    """One vLLM argument: its name (dest, or dotted nested name), value, words on the command line, and why."""

    name: str
    value: Any
    argv: tuple[Word, ...]
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable of the server. ``value`` None: handed over by name from variable ``env_from``."""

    name: str
    value: Word | None
    why: str
    source: str
    env_from: str = ""


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder of the host inside the container."""

    source: Word
    target: str
    read_only: bool
    purpose: Literal["weights", "caches", "model", "extra"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a reader of the plan should know: a deviation, an override, a doubt.

    ``code`` is the advisory behind a warning, if there is one; ``why`` of a warning says what to do about it.
    """

    kind: Literal["deviation", "override", "warning"]
    subject: str
    why: str
    source: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """The checkpoint: ``served`` is what vLLM is given; sizes are bytes on disk (0: not known)."""

    key: str
    repo: str
    revision: str
    served: Word
    local: bool
    gated: bool
    weight_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class PlannedGpus:
    """The GPUs that the plan needs. ``names`` are NVML's exact names; ``count`` GPUs are used, of ``visible``.

    "auto": which ones is decided where it is launched, by what is free there.
    """

    key: str
    names: tuple[str, ...]
    count: int
    visible: Literal["all", "auto"] | tuple[int, ...]
    memory_mib: int
    compute_capability: str
    arch: str
    memory_utilization: float

    @property
    def used(self) -> tuple[int, ...]:
        """Indices of the GPUs that vLLM will take: the first ``count`` of the visible ones."""
        return self.visible[: self.count] if isinstance(self.visible, tuple) else tuple(range(self.count))


@dataclass(frozen=True, slots=True)
class PlannedContainer:
    """What the container is created with."""

    image: str
    runtime: str
    ipc: str
    shm_size: str
    restart: str
    binds: tuple[Bind, ...]
    ulimits: Mapping[str, int]
    network: str = ""
    options: tuple[str, ...] = ()
    hardened: bool = False
    # "" and 0: the engine's own way of keeping logs.
    log_max_size: str = ""
    log_files: int = 0


@dataclass(frozen=True, slots=True)
class PlannedNative:
    """The process that is started."""

    executable: Word
    restart: str


@dataclass(frozen=True, slots=True)
class Stack:
    """What the vLLM release is built on: CUDA of its image and the oldest driver that runs it ("" when not known)."""

    cuda: str
    min_driver: str
    source: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One deployment, decided."""

    name: str
    target: Literal["docker", "native"]
    vllm: str
    stack: Stack
    model: PlannedModel
    gpus: PlannedGpus
    parallel: Mapping[str, int]
    arguments: tuple[Argument, ...]
    environment: tuple[Variable, ...]
    host: str
    port: int
    served_model_names: tuple[str, ...]
    api_key_env: str
    hf_token_env: str
    container: PlannedContainer
    native: PlannedNative
    timeout_s: int
    # From the request to stop until the server is killed; longer than running requests have to finish.
    stop_timeout_s: int = 30
    notices: tuple[Notice, ...] = ()
    # The file that holds the API key ("" for none); `api_key_env` is then the variable that it is handed on in.
    api_key_file: Word = ""
    # The config that this plan was made from, as plain data.
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """The endpoint as a client on this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"http://{host}:{self.port}"

    @property
    def rehearsal(self) -> bool:
        """True when no GPU is used: the tiny model on the CPU."""
        return self.gpus.count == 0

    def to_json(self) -> str:
        """Canonical JSON; equal plans give equal text."""
        return canonical_json(self)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` printed. Raises InputError when the text is not one."""
        from pydantic import TypeAdapter, ValidationError

        try:
            plan: Plan = TypeAdapter(cls).validate_python(frozen(json.loads(text)))
        except (ValueError, ValidationError) as error:
            raise InputError(f"This is not a plan: {error}", where="plan") from error
        return plan
