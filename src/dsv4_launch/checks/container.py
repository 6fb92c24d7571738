"""The container engine: there, reachable, able to hand out GPUs, and the name free."""

from dsv4_launch.checks.base import Context, Finding, check, on_docker
from dsv4_launch.facts import Container, Docker
from dsv4_launch.plan.types import Plan

RUNNING = ("running", "restarting", "paused")
# Labels of ours begin with it; a container without one is somebody else's.
LABEL_PREFIX = "dsv4"


def _gpus_in_docker(plan: Plan) -> bool:
    return on_docker(plan) and plan.gpus.count > 0


@check("CTR001", applies=on_docker)
def docker_installed(context: Context) -> Finding | None:
    """The docker command line is installed: it creates the container."""
    if engine_of(context).cli_path is not None:
        return None
    return Finding("There is no `docker` on PATH", "install Docker Engine, or use `--target native`")


@check("CTR002", applies=on_docker)
def engine_reachable(context: Context) -> Finding | None:
    """The Docker engine answers."""
    docker = engine_of(context)
    if docker.engine == "ready":
        return None
    at = f"{docker.endpoint or 'its address'}{f' (context {docker.context})' if docker.context else ''}"
    detail = docker.detail or "no reason given"
    if docker.engine == "denied":
        fix = "join the docker group (`sudo usermod -aG docker $USER`, then log in again), or run as root"
        return Finding(f"The Docker engine at {at} refuses, {detail}", fix)
    if docker.engine == "down":
        fix = "start it (`sudo systemctl start docker`), or correct DOCKER_HOST or the docker context"
        return Finding(f"The Docker engine at {at} is not running, {detail}", fix)
    return Finding(f"The Docker engine at {at} cannot be asked, {detail}", "see that `docker version` works")


@check("CTR003", requires=("CTR002",), applies=_gpus_in_docker)
def gpus_in_containers(context: Context) -> Finding | None:
    """The engine can hand GPUs to a container: by the nvidia runtime, its hook, or CDI.

    `--runtime=nvidia` needs a runtime of that name (NVIDIA Container Toolkit). `--gpus` by itself needs the toolkit's
    hook, or a CDI specification of the GPUs.
    """
    docker = engine_of(context)
    runtimes = context.known(docker.runtimes, "docker.runtimes")
    fix = "install the NVIDIA Container Toolkit, `sudo nvidia-ctk runtime configure --runtime=docker`, restart docker"
    if context.plan.container.runtime == "nvidia":
        if "nvidia" in runtimes:
            return None
        return Finding(f"The Docker engine has no runtime `nvidia` (it has {', '.join(runtimes)})", fix)
    by_cdi = any(name.startswith("nvidia.com/gpu") for name in docker.cdi_devices or ())
    if "nvidia" in runtimes or docker.gpu_hook_path is not None or by_cdi:
        return None
    return Finding("The Docker engine has neither the nvidia runtime nor its hook nor a CDI specification of GPUs", fix)


@check(
    "CTR004", requires=("CTR002",), severity="warning", applies=lambda plan: on_docker(plan) and not _made_here(plan)
)
def image_here(context: Context) -> Finding | None:
    """The image is on this machine, so that the start does not wait for a registry."""
    if _has_image(context):
        return None
    found = f"The image {context.plan.container.image} is not here yet"
    return Finding(found, "`dsv4 serve` pulls it first, which takes a while")


@check("CTR007", requires=("CTR002",), applies=lambda plan: on_docker(plan) and _made_here(plan))
def rehearsal_image_here(context: Context) -> Finding | None:
    """The image of a rehearsal, which no registry has, was built on this machine."""
    if _has_image(context):
        return None
    found = f"The image {context.plan.container.image} is not here and no registry has it"
    return Finding(found, "build it with `scripts/rig`")


@check("CTR005", requires=("CTR002",), applies=on_docker)
def name_free(context: Context) -> Finding | None:
    """No other container has the deployment's name.

    A container of ours that has stopped is no obstacle: the launch replaces it.
    """
    containers = context.known(engine_of(context).containers, "docker.containers")
    name = context.plan.name
    if name not in containers:
        context.known(None, f"docker.containers.{name}")
    container = containers[name]
    if container is None:
        return None
    if not _ours(container):
        found = f"The name {name} belongs to a container that dsv4 did not make ({container.state})"
        return Finding(found, f"rename the deployment, or remove it with `docker rm {name}` if nobody needs it")
    if container.state not in RUNNING:
        return None
    return Finding(f"{name} is {container.state} already", f"see `dsv4 status {name}`, or `dsv4 stop {name}` first")


@check("CTR006", requires=("CTR002",), severity="warning", applies=on_docker)
def engine_is_local(context: Context) -> Finding | None:
    """The engine is on this machine, which the other checks look at."""
    endpoint = context.known(engine_of(context).endpoint, "docker.endpoint")
    if endpoint.startswith(("unix://", "npipe://")):
        return None
    found = f"The Docker engine is reached over {endpoint}, so GPUs, disks and ports seen here may not be its own"
    return Finding(found, "run dsv4 on that machine, or unset DOCKER_HOST")


def _made_here(plan: Plan) -> bool:
    return plan.rehearsal and "/" not in plan.container.image


def _has_image(context: Context) -> bool:
    images = context.known(engine_of(context).images, "docker.images")
    ref = context.plan.container.image
    if ref not in images:
        context.known(None, f"docker.images.{ref}")
    return images[ref] is not None


def ours_runs(context: Context) -> bool:
    """Whether a container of this deployment is running already, as far as the facts tell."""
    docker = context.facts.docker
    container = ((docker.containers if docker is not None else None) or {}).get(context.plan.name)
    return on_docker(context.plan) and container is not None and _ours(container) and container.state in RUNNING


def _ours(container: Container) -> bool:
    return any(label.startswith(LABEL_PREFIX) for label in container.labels)


def engine_of(context: Context) -> Docker:
    """What is known of the container engine. Raises Unknown when it was not looked at."""
    return context.known(context.facts.docker, "docker")
