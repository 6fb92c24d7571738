"""The NVIDIA driver against the CUDA that the server was built with."""

from dsv4_launch.catalog.read import table
from dsv4_launch.checks.base import Context, Finding, Unknown, check, numbers, on_gpus
from dsv4_launch.facts import Kernel, KernelError

COMPATIBILITY = "VLLM_ENABLE_CUDA_COMPATIBILITY"


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
    if context.variable(COMPATIBILITY) == "1":
        return None
    driver = context.known(context.facts.driver, "driver")
    version = context.known(driver.version, "driver.version")
    if minimum and numbers(version) >= numbers(minimum):
        return None
    supports = driver.cuda_version
    if not minimum and numbers(context.known(supports, "driver.cuda_version"))[:1] >= numbers(cuda)[:1]:
        return None
    what = "the image" if context.plan.target == "docker" else f"vLLM {context.plan.vllm}"
    says = f"Driver {version}" + (f" supports CUDA {supports}" if supports else "")
    need = f"{what} needs CUDA {cuda}" + (f" (driver {minimum} or newer)" if minimum else "")
    fix = 'upgrade the driver, or set `env: {VLLM_ENABLE_CUDA_COMPATIBILITY: "1"}` on a datacenter GPU'
    return Finding(f"{says}, {need}", fix)


@check("DRV002", requires=("GPU001",), unread="warning", applies=on_gpus)
def no_needless_compatibility(context: Context) -> Finding | None:
    """Forward compatibility is not asked of a driver that runs the CUDA of the image by itself.

    The image's compatibility library then stands before the driver's own, and CUDA stops with error 803
    (`unsupported display driver / cuda driver combination`).
    """
    cuda, _minimum = _needs(context)
    if not cuda or context.variable(COMPATIBILITY) != "1":
        return None
    driver = context.known(context.facts.driver, "driver")
    supports = context.known(driver.cuda_version, "driver.cuda_version")
    if numbers(supports)[:2] < numbers(cuda)[:2]:
        return None
    found = (
        f"Driver {driver.version or ''} runs CUDA {supports} by itself, and {COMPATIBILITY}=1 puts another before it"
    )
    return Finding(found, f"leave `env.{COMPATIBILITY}` out, or CUDA may stop with error 803")


@check("DRV003", requires=("GPU001",), severity="warning", applies=on_gpus)
def memory_module(context: Context) -> Finding | None:
    """The kernel module of CUDA's memory, nvidia_uvm, is loaded.

    Without it nvidia-smi is well and CUDA fails with an unknown error. The container toolkit and nvidia-modprobe load
    it when they may.
    """
    modules = context.known(_kernel(context).modules, "kernel.modules")
    if context.known(modules.get("nvidia_uvm"), "kernel.modules.nvidia_uvm"):
        return None
    return Finding("The kernel module nvidia_uvm is not loaded, which CUDA needs", "`sudo modprobe nvidia_uvm`")


@check("DRV004", requires=("GPU001",), severity="warning", applies=on_gpus)
def no_grave_xids(context: Context) -> Finding | None:
    """The driver has reported no grave error (Xid) of the GPUs to be used since the boot.

    A GPU may be well again after a reset or a reboot, and the log does not tell; one that is not fails under load.
    """
    kernel = _kernel(context)
    errors = [error for error in context.known(kernel.errors, "kernel.errors") if error.kind == "xid"]
    meanings = table("xids")
    found = [error for error in errors if str(error.number) in meanings and _concerns(context, error)]
    if not found:
        if not kernel.complete:
            raise Unknown("the kernel log no longer goes back to the boot")
        return None
    worst = max(found, key=lambda error: bool(meanings[str(error.number)]["grave"]))
    row = meanings[str(worst.number)]
    others = sorted({error.number for error in found} - {worst.number})
    more = f"; also Xid {', '.join(map(str, others))}" if others else ""
    times = f" {worst.count} times" if worst.count > 1 else ""
    where = _where(context, worst)
    return Finding(f"Xid {worst.number} of {where}{times} since the boot: {row['means']}{more}", row["fix"])


def _kernel(context: Context) -> Kernel:
    return context.known(context.facts.kernel, "kernel")


def _concerns(context: Context, error: KernelError) -> bool:
    """Whether an error is of a GPU to be used, or of one that is not shown (any more)."""
    known = {gpu.pci_bus_id: gpu.index for gpu in context.facts.gpus or () if gpu.pci_bus_id}
    index = next((index for pci, index in known.items() if same_device(pci, error.pci)), None)
    return index is None or index in context.used


def same_device(first: str, second: str) -> bool:
    """Whether two spellings name one PCI device: `0000:1b:00.0`, `0000:1b:00`, `1b:00`."""
    one, other = (text.lower().partition(".")[0] for text in (first, second))
    return one.endswith(other) or other.endswith(one)


def _where(context: Context, error: KernelError) -> str:
    for gpu in context.facts.gpus or ():
        if gpu.pci_bus_id and same_device(gpu.pci_bus_id, error.pci):
            return f"GPU {gpu.index}"
    return f"the device at PCI {error.pci}"


def _needs(context: Context) -> tuple[str, str]:
    """CUDA release and oldest driver: of the image that is here, where it says another CUDA than the catalog."""
    stack = context.plan.stack
    docker = context.facts.docker
    images = (docker.images if docker is not None else None) or {}
    image = images.get(context.plan.container.image) if context.plan.target == "docker" else None
    own = image.env.get("CUDA_VERSION", "") if image is not None else ""
    if own and numbers(own)[:2] != numbers(stack.cuda)[:2]:
        return own, ""
    return stack.cuda, stack.min_driver
