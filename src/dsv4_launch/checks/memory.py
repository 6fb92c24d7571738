"""Memory of the GPUs, and of the host beside them."""

import re

from dsv4_launch.catalog.thresholds import number
from dsv4_launch.checks.base import Context, Finding, check, on_gpus
from dsv4_launch.checks.container import ours_runs
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import counted

GIB = 1024**3


@check("MEM001", requires=("GPU003", "GPU006"), applies=on_gpus)
def gpu_memory_free(context: Context) -> Finding | None:
    """Each GPU has as much free memory as vLLM will take.

    vLLM refuses to start when less than gpu_memory_utilization × total is free. Where no process is shown to hold the
    rest, it is in a container that does not share our view, or a dead process has not been cleaned up.
    """
    if ours_runs(context):
        return None
    share = context.plan.gpus.memory_utilization
    for gpu in context.used_gpus:
        total = context.known(gpu.memory_total_mib, f"gpus.{gpu.index}.memory_total_mib")
        free = context.room(gpu.memory_free_mib, total, f"gpus.{gpu.index}.memory_free_mib", "MiB")
        if free < share * total:
            has = f"GPU {gpu.index} has {free / 1024:.1f} of {total / 1024:.1f} GiB free"
            needs = f"vLLM takes {share * total / 1024:.1f} (gpu_memory_utilization {share:g})"
            return Finding(f"{has}, {needs}", "find what holds it (`nvidia-smi`, other containers), or lower the share")
    return None


@check("MEM002", severity="warning", applies=lambda plan: plan.gpus.count > 1)
def shared_memory(context: Context) -> Finding | None:
    """Shared memory is large enough for the ranks to talk through.

    With `--ipc=host` the server uses the host's /dev/shm and docker does not use --shm-size.
    """
    need = number("shared_memory_gib_per_gpu") * GIB * context.plan.gpus.count
    container = context.plan.container
    if context.plan.target == "docker" and container.ipc != "host":
        has, where, fix = _bytes(container.shm_size or "64m"), "The container's --shm-size", "raise container.shm_size"
    else:
        system = context.known(context.facts.system, "system")
        has = context.known(system.shm_total_bytes, "system.shm_total_bytes")
        where, fix = "This host's /dev/shm", "remount it larger: `mount -o remount,size=32g /dev/shm`"
    if has >= need:
        return None
    ranks = counted(context.plan.gpus.count, "rank")
    return Finding(f"{where} is {has / GIB:.1f} GiB; {need / GIB:.0f} are wanted for {ranks}", fix)


@check("MEM003", severity="warning")
def host_memory(context: Context) -> Finding | None:
    """The host has enough memory for the server's processes."""
    need = _ram(context.plan)
    system = context.known(context.facts.system, "system")
    path = "system.memory_available_bytes"
    has = context.room(system.memory_available_bytes, system.memory_total_bytes, path, "bytes")
    if has >= need:
        return None
    return Finding(
        f"{has / GIB:.0f} GiB of host memory are available, the server's processes should have {need / GIB:.0f}",
        "stop what else runs here, or use a larger node",
    )


def _ram(plan: Plan) -> int:
    if not plan.gpus.count:
        return number("host_memory_gib_of_a_rehearsal") * GIB
    return number("host_memory_gib_per_gpu") * GIB * plan.gpus.count


def _bytes(size: str) -> int:
    found = re.fullmatch(r"(\d+)([bkmg]?)", size.lower())
    if found is None:
        return 0
    return int(found.group(1)) * {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": GIB}[found.group(2)]
