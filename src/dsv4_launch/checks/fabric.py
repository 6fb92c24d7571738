"""The way between the GPUs: NVLink, NVSwitch and their fabric manager."""

from dsv4_launch.catalog.thresholds import names
from dsv4_launch.checks.base import Context, Finding, Unknown, check, named
from dsv4_launch.facts import Gpu
from dsv4_launch.plan.types import Plan

# NVLSM of an HGX B200 reaches the switches through these.
SWITCH_MODULES = ("mlx5_ib", "ib_umad")
MULTICAST_OFF = "TORCH_SYMM_MEM_DISABLE_MULTICAST"


def _several(plan: Plan) -> bool:
    return plan.gpus.count > 1


@check("FAB001", requires=("GPU002",), applies=_several)
def fabric_ready(context: Context) -> Finding | None:
    """The NVLink fabric of the GPUs is set up.

    On NVSwitch nodes CUDA fails with `Error 802: system not yet initialized` until the fabric manager has registered
    the GPUs, while nvidia-smi looks healthy. The state that NVML gives decides; hosts without NVSwitch have none, and
    guests and pods have no fabric manager of their own.
    """
    open_state = {
        gpu.index: context.known(gpu.fabric_state, f"gpus.{gpu.index}.fabric_state") for gpu in context.used_gpus
    }
    waiting = [index for index, state in open_state.items() if state in ("not started", "in progress")]
    if not waiting:
        return None
    state = open_state[waiting[0]]
    cause, fix = _cause(context)
    return Finding(f"The NVLink fabric of {named(waiting)} is {state}, so CUDA would fail with error 802{cause}", fix)


def _cause(context: Context) -> tuple[str, str]:
    """What keeps the fabric from being ready, and what to do: versions first, then modules, then processes."""
    facts = context.facts
    manager, modules = facts.fabric_manager, (facts.kernel.modules if facts.kernel else None) or {}
    driver = facts.driver.version if facts.driver else None
    package = "nvidia-fabricmanager"
    if manager is not None and manager.version and driver and manager.version != driver:
        found = f" (Fabric Manager is {manager.version}, the driver {driver})"
        return found, f"install {package} {driver} and restart it: both must be of one version"
    missing = [name for name in SWITCH_MODULES if modules.get(name) is False]
    if (
        context.plan.gpus.arch in names("switches_over_infiniband")
        and missing
        and manager is not None
        and manager.installed
    ):
        return f" ({' and '.join(missing)} not loaded)", f"`sudo modprobe -a {' '.join(missing)}`, restart {package}"
    if manager is not None and manager.installed and not manager.running:
        return " (Fabric Manager does not run)", f"`sudo systemctl enable --now {package}`, and see its log"
    return "", f"start {package} in the driver's own version (HGX B200 also needs the ib_umad and mlx5_ib modules)"


@check("FAB002", requires=("GPU002",), severity="warning", applies=_several)
def links_up(context: Context) -> Finding | None:
    """All NVLinks of the GPUs are up. GPUs that have none, or no bridge, are as they should be."""
    links = {gpu.index: context.known(gpu.nvlinks, f"gpus.{gpu.index}.nvlinks") for gpu in context.used_gpus}
    if not any(found.active for found in links.values()):
        return None
    index, worst = max(links.items(), key=lambda item: item[1].inactive)
    if not worst.inactive:
        return None
    down = named(index for index, found in links.items() if found.inactive)
    found = f"NVLinks of {down} are down (GPU {index}: {worst.inactive} of {worst.active + worst.inactive})"
    return Finding(found, "see `nvidia-smi nvlink -s` and the kernel log; a reboot may train them again")


@check("FAB003", requires=("GPU002", "GPU003"), severity="warning", applies=_several)
def peers_reached(context: Context) -> Finding | None:
    """The GPUs reach each other directly: over NVLink where they have it, else over PCIe."""
    for gpu in context.used_gpus:
        for other, way in _ways(context, gpu).items():
            pair = f"GPUs {gpu.index} and {other}"
            if way not in ("nvlink", "pcie"):
                fix = "turn off PCIe ACS and the IOMMU's translation, or go on with slower exchange through the host"
                return Finding(f"{pair} cannot reach each other directly ({way})", fix)
            if way == "pcie" and gpu.fabric_state == "completed":
                return Finding(f"{pair} reach each other over PCIe, though they are of an NVLink fabric", "see FAB002")
    return None


@check("FAB004", requires=("GPU002",), severity="warning", applies=_several)
def switches_well(context: Context) -> Finding | None:
    """No NVSwitch has reported a fatal error (SXid) since the boot."""
    kernel = context.known(context.facts.kernel, "kernel")
    fatal = [e for e in context.known(kernel.errors, "kernel.errors") if e.kind == "sxid" and e.fatal]
    if not fatal:
        if not kernel.complete:
            raise Unknown("the kernel log no longer goes back to the boot")
        return None
    first = fatal[0]
    found = f"NVSwitch {first.pci} has reported SXid {first.number} since the boot ({first.text})"
    return Finding(found, "restart the fabric manager with all GPUs idle, or reboot; again: have it repaired")


@check("FAB005", requires=("FAB001", "GPU003"), unread="warning", applies=lambda plan: _several(plan) and _mega(plan))
def multicast_for_mega_moe(context: Context) -> Finding | None:
    """MegaMoE finds NVLink between all GPUs: it exchanges tokens through symmetric memory with multicast.

    Without a fabric the rendezvous of symmetric memory fails at start (advisory D08).
    """
    if context.variable(MULTICAST_OFF) == "1":
        return None
    for gpu in context.used_gpus:
        ways = set(_ways(context, gpu).values())
        if gpu.fabric_state != "completed" or ways - {"nvlink"}:
            state = f"fabric {gpu.fabric_state}, peers over {', '.join(sorted(ways)) or 'nothing'}"
            fix = f'set `env: {{{MULTICAST_OFF}: "1"}}`, or leave `engine.moe_backend` out'
            return Finding(f"MegaMoE needs NVLink multicast, which GPU {gpu.index} has not ({state})", fix)
    return None


def _mega(plan: Plan) -> bool:
    return any(one.name == "moe_backend" and "mega" in str(one.value) for one in plan.arguments)


def _ways(context: Context, gpu: Gpu) -> dict[str, str]:
    """How each other GPU that will be used is reached from one."""
    peers = context.known(gpu.peers, f"gpus.{gpu.index}.peers")
    others = [other.index for other in context.used_gpus if other.index != gpu.index]
    return {str(other): context.known(peers.get(str(other)), f"gpus.{gpu.index}.peers.{other}") for other in others}
