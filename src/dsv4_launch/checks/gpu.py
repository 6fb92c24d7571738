"""The GPUs that the plan will use: there, of the configured type, enough, whole and nobody else's."""

from collections import Counter

from dsv4_launch.checks.base import Context, Finding, check, named, on_gpus
from dsv4_launch.checks.container import ours_runs
from dsv4_launch.checks.place import setting
from dsv4_launch.checks.selection import choose
from dsv4_launch.facts import GpuProcess
from dsv4_launch.plan.types import Plan

ELSEWHERE = "in CI, `dsv4 validate` judges a config without GPUs, and `dsv4 rehearse` runs it on the CPU"


@check("GPU001", applies=on_gpus)
def gpus_present(context: Context) -> Finding | None:
    """NVIDIA GPUs are there and NVML shows them.

    NVML is the driver's own library (libnvidia-ml.so.1). Without it, or when it does not start, nothing else about the
    GPUs can be told, and vLLM would not find them either.
    """
    needs = f"the plan needs {wanted(context.plan)}"
    facts = context.facts
    if facts.gpus is None and "gpus" in facts.problems:
        fix = f"run it on the GPU node, or make `nvidia-smi` work here; {ELSEWHERE}"
        return Finding(f"No GPU can be used here ({facts.why('gpus')}), {needs}", fix)
    if not context.known(facts.gpus, "gpus"):
        fix = f"run it on the GPU node, or see what `lspci -d 10de:` and `dmesg` say; {ELSEWHERE}"
        return Finding(f"The NVIDIA driver is here but shows no GPU, {needs}", fix)
    return None


@check("GPU002", requires=("GPU001",), applies=on_gpus)
def gpu_type(context: Context) -> Finding | None:
    """The GPUs are exactly of the configured type.

    Names are compared whole: NVIDIA GB200, NVIDIA B300 SXM6 AC and a MIG device are no B200s. Only the GPUs that will
    be used count.
    """
    names = context.plan.gpus.names
    others: Counter[str] = Counter()
    for gpu in context.used_gpus:
        name = context.known(gpu.name, f"gpus.{gpu.index}.name")
        if name not in names:
            others[name] += 1
    if not others:
        return None
    found = " and ".join(f"{count} {name}" for name, count in others.items())
    fix = "use a node that has them, or a config whose `gpu:` is what is here"
    if any(" MIG " in name for name in others):
        fix = "turn MIG off, since a slice is no whole GPU, or use another node"
    return Finding(f"The GPUs to be used are {found}, the plan is for {wanted(context.plan)}", fix)


@check("GPU003", requires=("GPU001",), applies=on_gpus)
def enough_gpus(context: Context) -> Finding | None:
    """There are as many GPUs as the parallel layout needs."""
    gpus = context.known(context.facts.gpus, "gpus")
    plan = context.plan
    if len(context.used_gpus) >= plan.gpus.count:
        return None
    kinds = {gpu.name or "GPU" for gpu in gpus}
    found = f"Found {len(gpus)} {kinds.pop() if len(kinds) == 1 else 'GPUs'}"
    if plan.gpus.visible != "all":
        found += f", and of the configured gpus {list(plan.gpus.visible)} only {len(context.used_gpus)} exist"
    elif len(context.used) < plan.gpus.count:
        found += f", and CUDA_VISIBLE_DEVICES shows {len(context.used)} of them"
    fix = "use a node with more GPUs, or a smaller `parallel:` layout"
    return Finding(f"{found}, the plan needs {plan.gpus.count} ({layout(plan)})", fix)


@check("GPU004", requires=("GPU002",), applies=on_gpus)
def compute_capability(context: Context) -> Finding | None:
    """The compute capability is the one that the kernels were chosen for."""
    for gpu in context.used_gpus:
        has = context.known(gpu.compute_capability, f"gpus.{gpu.index}.compute_capability")
        if has != context.plan.gpus.compute_capability:
            found = f"GPU {gpu.index} ({gpu.name}) reports compute capability {has}"
            wants = context.plan.gpus.compute_capability
            return Finding(f"{found}, the plan is made for {wants}", "correct `gpu:`, or use another node")
    return None


@check("GPU005", requires=("GPU002",), applies=on_gpus)
def mig_off(context: Context) -> Finding | None:
    """MIG is off: tensor parallelism needs whole GPUs."""
    on = [g.index for g in context.used_gpus if context.known(g.mig_mode, f"gpus.{g.index}.mig_mode") == "enabled"]
    if not on:
        return None
    listed = ",".join(map(str, on))
    fix = f"turn it off with `sudo nvidia-smi -i {listed} -mig 0`, then reset the GPUs or reboot"
    return Finding(f"MIG is enabled on {named(on)}, the plan needs whole GPUs", fix)


@check("GPU006", requires=("GPU002",), applies=on_gpus)
def gpus_idle(context: Context) -> Finding | None:
    """No other process holds memory of the GPUs that will be used.

    A running container of this very deployment holds them rightly; that it runs is another check's finding.
    """
    if ours_runs(context):
        return None
    busy: list[int] = []
    holders: dict[int, GpuProcess] = {}
    for gpu in context.used_gpus:
        for process in context.known(gpu.processes, f"gpus.{gpu.index}.processes"):
            busy.append(gpu.index)
            holders[process.pid] = process
    if not busy:
        return None
    shown = ", ".join(_process(process) for process in list(holders.values())[:4])
    more = f" and {len(holders) - 4} more" if len(holders) > 4 else ""
    return Finding(
        f"{named(busy)} {'is' if len(set(busy)) == 1 else 'are'} held by {shown}{more}", _free_fix(context, busy)
    )


def wanted(plan: Plan) -> str:
    """What a plan needs, in words."""
    return f"{plan.gpus.count} {plan.gpus.names[0] if plan.gpus.names else plan.gpus.key}"


def layout(plan: Plan) -> str:
    """The parallel layout in words: those dimensions that multiply to the GPU count."""
    sizes = {name: plan.parallel.get(name, 1) for name in ("tensor", "pipeline", "data")}
    shown = [f"{name} parallel {size}" for name, size in sizes.items() if size > 1 or name != "pipeline"]
    return " × ".join(shown)


def _free_fix(context: Context, busy: list[int]) -> str:
    chosen = choose(context, avoid=busy)
    if not chosen:
        return "stop them, or use another node"
    return f"stop them, or set {setting(context, chosen)}, which are free"


def _process(process: GpuProcess) -> str:
    used = "" if process.used_mib is None else f", {process.used_mib / 1024:.0f} GiB"
    return f"{process.name or 'a process'} (pid {process.pid}{used})"
