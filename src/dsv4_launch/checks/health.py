"""The GPUs' health: memory that is sound, clocks that are free, a driver that stays awake."""

from dsv4_launch.checks.base import Context, Finding, check, named, on_gpus
from dsv4_launch.checks.place import setting
from dsv4_launch.checks.selection import choose


@check("GPU007", requires=("GPU002",), unread="warning", applies=on_gpus)
def memory_sound(context: Context) -> Finding | None:
    """No GPU has run out of spare rows for its broken ones.

    A row remapping failure is NVIDIA's criterion for replacing a board
    (https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/index.html).
    """
    rows = {gpu.index: context.known(gpu.row_remap, _path(gpu.index, "row_remap")) for gpu in context.used_gpus}
    failed = [index for index, found in rows.items() if found.failed]
    if not failed:
        return None
    chosen = choose(context, avoid=failed)
    others = f"set {setting(context, chosen)} meanwhile" if chosen else "use another node meanwhile"
    return Finding(f"Row remapping of {named(failed)} has failed, its memory is broken", f"have it replaced, {others}")


@check("GPU008", requires=("GPU002",), severity="warning", applies=on_gpus)
def no_reset_due(context: Context) -> Finding | None:
    """No GPU waits for a reset: no row remapping is pending, no uncorrected memory error came up."""
    due = []
    for gpu in context.used_gpus:
        pending = context.known(gpu.row_remap, _path(gpu.index, "row_remap")).pending
        enabled = context.known(gpu.ecc_mode, _path(gpu.index, "ecc_mode")) == "enabled"
        wrong = context.known(gpu.ecc_uncorrected, _path(gpu.index, "ecc_uncorrected")) if enabled else 0
        if pending or wrong:
            due.append((gpu.index, f"{wrong} uncorrected memory errors" if wrong else "a row remapping that waits"))
    if not due:
        return None
    found = " and ".join(f"GPU {index} has {what}" for index, what in due)
    listed = ",".join(str(index) for index, _ in due)
    return Finding(found, f"reset: `sudo nvidia-smi -i {listed} --gpu-reset`, or reboot")


@check("GPU009", requires=("GPU002",), severity="warning", applies=on_gpus)
def not_throttled(context: Context) -> Finding | None:
    """Nothing holds the GPUs' clocks down: no heat, no power brake."""
    slow = {gpu.index: context.known(gpu.throttled, _path(gpu.index, "throttled")) for gpu in context.used_gpus}
    why = next((reasons for reasons in slow.values() if reasons), None)
    if why is None:
        return None
    held = named(index for index, reasons in slow.items() if reasons)
    return Finding(f"The clock of {held} is held down ({', '.join(why)})", "see to cooling and power")


@check("GPU010", requires=("GPU002",), severity="warning", applies=on_gpus)
def persistence_on(context: Context) -> Finding | None:
    """The driver keeps the GPUs initialised between processes (persistence mode).

    Otherwise each first use takes seconds a GPU, and the NVLink fabric may have to be set up again.
    """
    off = [
        gpu.index
        for gpu in context.used_gpus
        if not context.known(gpu.persistence_mode, _path(gpu.index, "persistence_mode"))
    ]
    if not off:
        return None
    return Finding(f"Persistence mode of {named(off)} is off", "`sudo systemctl enable --now nvidia-persistenced`")


def _path(index: int, field: str) -> str:
    return f"gpus.{index}.{field}"
