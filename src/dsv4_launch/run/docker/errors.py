"""What `docker run` and the engine say when they refuse, as problems with a fix. The texts are the engine's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dsv4_launch.errors import Dsv4Error, HostError, Problem, ToolError
from dsv4_launch.plan.types import Plan

_TOOLKIT = (
    "Install the NVIDIA Container Toolkit "
    "(https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html), then "
    "`sudo nvidia-ctk runtime configure --runtime=docker` and `sudo systemctl restart docker`."
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to refuse: the text that tells it, whose problem it is, what to say and what to do."""

    code: str
    pattern: re.Pattern[str]
    error: type[Dsv4Error]
    message: str
    fix: str


def _refusal(code: str, pattern: str, error: type[Dsv4Error], message: str, fix: str) -> Refusal:
    return Refusal(code, re.compile(pattern, re.IGNORECASE), error, message, fix)


# In the order of preference; `{name}`, `{port}`, `{image}` are the plan's, other groups the pattern's.
REFUSALS = (
    _refusal(
        "name-taken",
        r"The container name \S+ is already in use by container",
        HostError,
        "Another launch of {name} came first, and owns the name now.",
        "See `dsv4 status {name}`; `dsv4 stop {name}` ends it.",
    ),
    _refusal(
        "port-taken",
        r"port is already allocated|address already in use|bind for \S+ failed|failed to bind (host )?port",
        HostError,
        "Port {host}:{port} is taken.",
        "See who holds it with `ss -ltnp 'sport = :{port}'`, or set server.port to a free one.",
    ),
    _refusal(
        "address-missing",
        r"cannot assign requested address",
        HostError,
        "This machine has no address {host}, on which the endpoint was to be published.",
        "Set server.host to one of this machine's addresses (`ip -brief address`), or to 127.0.0.1.",
    ),
    _refusal(
        "gpu-runtime",
        r"unknown runtime specified (?P<runtime>\S+)|unknown or invalid runtime name:? (?P<name_>\S+)"
        r"|nvidia-container-runtime\S{0,9}: executable file not found",
        HostError,
        "The Docker engine has no runtime nvidia.",
        _TOOLKIT,
    ),
    _refusal(
        "driver-mismatch",
        r"driver/library version mismatch",
        HostError,
        "The NVIDIA driver was upgraded, and its old kernel module is still loaded.",
        "Reboot, or unload and load the nvidia modules while nothing uses the GPUs.",
    ),
    _refusal(
        "driver-too-old",
        r"unsatisfied condition: ",
        HostError,
        "The image {image} demands a newer NVIDIA driver than this machine has.",
        "Upgrade the driver, or take an image for an older CUDA: `dsv4 explain D46`.",
    ),
    _refusal(
        "gpu-missing",
        r"nvidia-container-cli: device error|unknown device: unknown",
        HostError,
        "The Docker engine does not find the GPUs that it was asked for.",
        "Compare gpus with `nvidia-smi -L`.",
    ),
    _refusal(
        "gpu-driver",
        r"could not select device driver|failed to discover GPU vendor|nvidia-container-cli|no such device.*nvidia"
        r"|unresolvable CDI devices|failed to inject CDI devices",
        HostError,
        "The Docker engine cannot hand GPUs to a container.",
        _TOOLKIT,
    ),
    _refusal(
        "image-missing",
        r"No such image|Unable to find image .* locally[\s\S]*Error response|pull access denied|manifest unknown"
        r"|manifest for \S+ not found",
        ToolError,
        "The image {image} is not here and could not be pulled.",
        "Correct container.image, or `docker pull {image}` to see why.",
    ),
    _refusal(
        "mount-missing",
        r"bind source path does not exist: (?P<path>\S+)|error while creating mount source path '(?P<path2>[^']+)'",
        HostError,
        "A folder that is to be mounted is not there and could not be made: {path}.",
        "Create it, or correct container.mounts.",
    ),
    _refusal(
        "engine-denied",
        r"permission denied while trying to connect|dial unix \S+: connect: permission denied",
        HostError,
        "This user may not use the Docker engine.",
        "Join the docker group (`sudo usermod -aG docker $USER`, then log in again), or run as root.",
    ),
    _refusal(
        "engine-down",
        r"cannot connect to the docker daemon|error during connect|is the docker daemon running"
        r"|failed to connect to the docker API",
        HostError,
        "The Docker engine is not running, or cannot be reached.",
        "Start it (`sudo systemctl start docker`), or correct DOCKER_HOST or the docker context.",
    ),
    _refusal(
        "disk-full",
        r"no space left on device",
        HostError,
        "The Docker engine's disk is full.",
        "Free some with `docker system df` and `docker image prune`.",
    ),
)


def refused(text: str, plan: Plan) -> Dsv4Error:
    """The error for what `docker run` printed: a known refusal, else ToolError with its last lines."""
    for refusal in REFUSALS:
        found = refusal.pattern.search(text)
        if found is None:
            continue
        groups = found.groupdict()
        known = {
            "name": plan.name,
            "host": plan.host,
            "port": str(plan.port),
            "image": plan.container.image,
            "path": groups.get("path") or groups.get("path2") or "",
        }
        return refusal.error(
            Problem(refusal.code, _filled(refusal.message, known), _said(text), _filled(refusal.fix, known))
        )
    return ToolError(
        "docker run failed.",
        where=_said(text),
        fix="`dsv4 render-cmd` prints the command, to try it by hand.",
        code="docker-run",
    )


def _filled(text: str, known: Mapping[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _said(text: str) -> str:
    """The engine's own words, on one line; "See 'docker run --help'" is no news."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("See '", "Run 'docker")) and not _ID.fullmatch(line)]
    return " ".join(told[-3:])[:600]


_ID = re.compile(r"[0-9a-f]{64}")
