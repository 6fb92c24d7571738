"""The NVIDIA driver against the CUDA that the server was built with."""

import re

from dsv4_launch.checks.base import Context, Finding, check, on_gpus


@check("DRV001", requires=("GPU001",), applies=on_gpus)
def driver_new_enough(context: Context) -> Finding | None:
    """The driver is recent enough for the CUDA of the image (or of the installed vLLM).

    The image's own requirement (NVIDIA_REQUIRE_CUDA) admits older datacenter drivers, under which the container starts
    and the engine then fails with `CUDA driver version is insufficient`. Forward compatibility
    (VLLM_ENABLE_CUDA_COMPATIBILITY=1) is a way around it, and then the driver's age is not judged here.
    """
    cuda, minimum = _needs(context)
    if not cuda and not minimum:
        return None
    if any(v.name == "VLLM_ENABLE_CUDA_COMPATIBILITY" and v.value == "1" for v in context.plan.environment):
        return None
    driver = context.known(context.facts.driver, "driver")
    version = context.known(driver.version, "driver.version")
    if minimum and _numbers(version) >= _numbers(minimum):
        return None
    supports = driver.cuda_version
    if not minimum and _numbers(context.known(supports, "driver.cuda_version"))[:1] >= _numbers(cuda)[:1]:
        return None
    what = "the image" if context.plan.target == "docker" else f"vLLM {context.plan.vllm}"
    says = f"Driver {version}" + (f" supports CUDA {supports}" if supports else "")
    need = f"{what} needs CUDA {cuda}" + (f" (driver {minimum} or newer)" if minimum else "")
    fix = 'upgrade the driver, or set `env: {VLLM_ENABLE_CUDA_COMPATIBILITY: "1"}` on a datacenter GPU'
    return Finding(f"{says}, {need}", fix)


def _needs(context: Context) -> tuple[str, str]:
    """CUDA release and oldest driver: of the image that is here, where it says another CUDA than the catalog."""
    stack = context.plan.stack
    docker = context.facts.docker
    images = (docker.images if docker is not None else None) or {}
    image = images.get(context.plan.container.image) if context.plan.target == "docker" else None
    own = image.env.get("CUDA_VERSION", "") if image is not None else ""
    if own and _numbers(own)[:2] != _numbers(stack.cuda)[:2]:
        return own, ""
    return stack.cuda, stack.min_driver


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:4])
