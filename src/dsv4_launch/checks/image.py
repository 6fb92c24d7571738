"""What the image demands of the driver, and the toolkit and engine that run it."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from dsv4_launch.catalog.thresholds import text
from dsv4_launch.checks.base import Context, Finding, Unknown, check, numbers, on_docker
from dsv4_launch.checks.container import engine_of
from dsv4_launch.plan.types import Plan

# `vfs` copies every layer whole: an image of 25 GB takes ten times that, and minutes a container.
SLOW_DRIVERS = ("vfs", "devicemapper", "aufs")

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


def _gpus_in_docker(plan: Plan) -> bool:
    return on_docker(plan) and plan.gpus.count > 0


@check("CTR008", requires=("CTR002", "DRV001"), unread="warning", applies=_gpus_in_docker)
def image_admits_driver(context: Context) -> Finding | None:
    """The container toolkit would not refuse this driver for the image.

    The image's NVIDIA_REQUIRE_CUDA lists alternatives; when none holds, `docker run` ends with `unsatisfied condition`
    (advisory D46). That one holds does not mean that CUDA runs: it admits datacenter drivers that need forward
    compatibility, which DRV001 looks at (D54). Brands are not compared.
    """
    images = context.known(engine_of(context).images, "docker.images")
    image = images.get(context.plan.container.image)
    if image is None or image.env.get("NVIDIA_DISABLE_REQUIRE", "").lower() in ("1", "true"):
        return None
    requires = image.env.get("NVIDIA_REQUIRE_CUDA", "")
    if not requires:
        return None
    driver = context.known(context.facts.driver, "driver")
    has = {
        "driver": context.known(driver.version, "driver.version"),
        "cuda": context.known(driver.cuda_version, "driver.cuda_version"),
    }
    if any(all(holds(condition, has) for condition in alternative.split(",")) for alternative in requires.split()):
        return None
    first = requires.split()[0]
    found = f"The image wants {first}, driver {has['driver']} has CUDA {has['cuda']}: the container would not start"
    return Finding(found, 'upgrade the driver, take a -cu129 image, or set `env: {NVIDIA_DISABLE_REQUIRE: "1"}`')


def holds(condition: str, has: Mapping[str, str]) -> bool:
    """One condition of NVIDIA_REQUIRE_CUDA; a name that is not known here (brand, arch) holds."""
    match = re.fullmatch(r"(\w+)(>=|<=|!=|=|<|>)(.+)", condition)
    if match is None or match.group(1) not in has:
        return True
    wanted = numbers(match.group(3))
    # `driver<571` is about the branch: compare as many numbers as the condition has.
    return _COMPARE[match.group(2)](numbers(has[match.group(1)])[: len(wanted)], wanted)


@check("CTR009", requires=("CTR003",), severity="warning", applies=_gpus_in_docker)
def toolkit_safe(context: Context) -> Finding | None:
    """The NVIDIA container toolkit is recent enough not to let a container take over the host (CVE-2025-23266)."""
    version = context.known(engine_of(context).toolkit_version, "docker.toolkit_version")
    safe = text("safe_toolkit")
    if version and not numbers(version):
        raise Unknown(f"{version[:80]!r} is no version of the container toolkit")
    if not version or numbers(version) >= numbers(safe):
        return None
    found = f"NVIDIA Container Toolkit {version} lets a container take over the host (CVE-2025-23266)"
    return Finding(found, f"upgrade it to {safe} or newer")


@check("CTR011", requires=("CTR003",), severity="warning", applies=_gpus_in_docker)
def gpus_kept(context: Context) -> Finding | None:
    """A running container keeps its GPUs when systemd reads its units again.

    With systemd's cgroups, `systemctl daemon-reload` sets the device rules anew, and devices without a link in
    /dev/char are left out: `Failed to initialize NVML: Unknown Error` in a server that ran for days
    (https://github.com/NVIDIA/nvidia-container-toolkit/issues/48). CDI devices are named in the rules themselves.
    """
    docker = engine_of(context)
    if context.known(docker.cgroup_driver, "docker.cgroup_driver") != "systemd":
        return None
    if context.known(docker.gpu_device_links, "docker.gpu_device_links"):
        return None
    found = "GPU devices have no links in /dev/char, so `systemctl daemon-reload` would take them from a running server"
    return Finding(found, "`sudo nvidia-ctk system create-dev-char-symlinks --create-all`, at every boot")


@check("CTR010", requires=("CTR002",), severity="warning", applies=on_docker)
def layers_shared(context: Context) -> Finding | None:
    """The engine's storage driver shares the layers of images between containers."""
    driver = context.known(engine_of(context).storage_driver, "docker.storage_driver")
    if driver not in SLOW_DRIVERS:
        return None
    fix = "put the engine's data-root on ext4 or xfs and use overlay2"
    return Finding(f"The engine's storage driver {driver} copies whole layers or is no longer maintained", fix)
