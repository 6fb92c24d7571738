"""Which GPUs of a node a launch takes: free ones, near each other. A function of plan and facts."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dsv4_launch.catalog.thresholds import names
from dsv4_launch.checks.base import Context, Unknown
from dsv4_launch.checks.container import RUNNING
from dsv4_launch.errors import HostError, UsageError
from dsv4_launch.facts import Gpu, HostFacts
from dsv4_launch.plan.types import LABEL_GPUS, Plan
from dsv4_launch.values import Places

SYMM_MEM = "VLLM_ALLREDUCE_USE_SYMM_MEM"
# Names the GPUs of `gpus: auto` in a pasted command; a launch takes them too (dsv4_launch.values.SHELL_FORMS).
DSV4_GPUS = "DSV4_GPUS"
_INDICES = re.compile(r"[0-9]{1,3}(,[0-9]{1,3})*")


def is_free(plan: Plan, gpu: Gpu) -> bool:
    """Whether a GPU is of the plan's type, whole, sound, and nobody's: what is not known is not free."""
    total, free = gpu.memory_total_mib, gpu.memory_free_mib
    room = total is not None and free is not None and 0 < total * plan.gpus.memory_utilization <= free <= total
    broken = gpu.row_remap is not None and gpu.row_remap.failed
    return gpu.name in plan.gpus.names and gpu.processes == () and room and not broken and gpu.mig_mode != "enabled"


def select(plan: Plan, facts: HostFacts) -> tuple[int, ...] | None:
    """The GPUs that the server of a plan with `gpus: auto` is shown on a host; None where GPUs were not read.

    Free ones, near each other. On a fabric where a part of the GPUs hangs, all of them where the first ones are free:
    vLLM takes those. Where too few are free, the best of what there is: the checks say what is wrong with them.
    """
    context = Context(plan, facts)
    if facts.gpus is None:
        return None
    running = _running(context)
    if running is not None:
        return running
    native = facts.native if plan.target == "native" else None
    listed = context.listed if native is not None and native.visible_devices is not None else None
    allowed = [gpu for gpu in facts.gpus if listed is None or gpu.index in listed]
    free = [gpu for gpu in allowed if is_free(plan, gpu)]
    everything = tuple(gpu.index for gpu in allowed)
    count = plan.gpus.count
    if len(free) < count:
        busy = [gpu for gpu in allowed if gpu not in free]
        ours = sorted(busy, key=lambda gpu: (gpu.name not in plan.gpus.names, bool(gpu.processes), gpu.index))
        return tuple(sorted(gpu.index for gpu in (*free, *ours)[:count]))
    near = _near(free, count)
    first_free = set(everything[:count]) <= {gpu.index for gpu in free}
    return everything if first_free and _may_hang(context, near) else near


def placed(plan: Plan, facts: HostFacts) -> Plan:
    """The plan with its GPUs named, where `gpus: auto` left that to the host."""
    if plan.gpus.visible != "auto":
        return plan
    chosen = select(plan, facts) if plan.gpus.count else None
    return replace(plan, gpus=replace(plan.gpus, visible="all" if chosen is None else chosen))


def asked(plan: Plan, environ: Mapping[str, str]) -> Plan:
    """The plan with the GPUs that the caller's DSV4_GPUS names, where `gpus: auto` leaves that open.

    Errors: UsageError for anything but indices or `all`.
    """
    text = environ.get(DSV4_GPUS, "")
    if plan.gpus.visible != "auto" or not plan.gpus.count or not text:
        return plan
    if text == "all":
        return replace(plan, gpus=replace(plan.gpus, visible="all"))
    indices = text.split(",") if _INDICES.fullmatch(text) else []
    if not indices or len(set(indices)) < len(indices):
        fix = "Name indices (DSV4_GPUS=4,5,6,7) or all, or unset it: free GPUs are then chosen."
        raise UsageError(f"DSV4_GPUS={text!r} names no GPUs.", where=DSV4_GPUS, fix=fix)
    return with_gpus(plan, tuple(int(index) for index in indices))


def gpu_places(plan: Plan, facts: HostFacts) -> Places:
    """What the placeholders of `gpus: auto` stand for here; `plan` may have its GPUs named already.

    Errors: HostError where nobody could look at the GPUs.
    """
    if plan.gpus.visible == "auto" and facts.gpus is None:
        raise HostError(
            f"Nobody can tell which GPUs are free here ({facts.why('gpus')}).",
            where="gpus",
            fix="Name them: `--set gpus=[0,1,2,3]`.",
            code="gpus-unseen",
        )
    shown = placed(plan, facts).gpus.visible
    indices = shown if isinstance(shown, tuple) else tuple(gpu.index for gpu in facts.gpus or ())
    text = ",".join(map(str, indices))
    return {"gpus": text, "cuda_devices": text}


def choose(context: Context, avoid: Iterable[int] = ()) -> tuple[int, ...]:
    """As many free GPUs of the plan's type as it needs, near each other where there are such; () when there are not."""
    taken = set(avoid)
    free = [gpu for gpu in context.facts.gpus or () if gpu.index not in taken and is_free(context.plan, gpu)]
    return _near(free, context.plan.gpus.count)


def with_gpus(plan: Plan, shown: tuple[int, ...]) -> Plan:
    """The plan with these GPUs."""
    return replace(plan, gpus=replace(plan.gpus, visible=shown))


def hangs_on(context: Context, shown: Iterable[int]) -> bool:
    """Whether a server that sees these GPUs may hang in the rendezvous of symmetric memory."""
    plan = context.plan
    if (
        plan.gpus.arch not in names("subset_may_hang")
        or plan.parallel.get("tensor", 1) < 2
        or context.variable(SYMM_MEM) == "0"
    ):
        return False
    gpus = context.known(context.facts.gpus, "gpus")
    if len(set(shown)) >= len(gpus):
        return False
    states = [context.known(gpu.fabric_state, f"gpus.{gpu.index}.fabric_state") for gpu in context.used_gpus]
    return any(state != "not supported" for state in states)


def _running(context: Context) -> tuple[int, ...] | None:
    """The GPUs of this deployment where it runs already: those that its label names."""
    docker = context.facts.docker
    container = ((docker.containers if docker is not None else None) or {}).get(context.plan.name)
    named_ones = container.labels.get(LABEL_GPUS, "") if container is not None else ""
    if container is None or container.state not in RUNNING or not _INDICES.fullmatch(named_ones):
        return None
    return tuple(int(index) for index in named_ones.split(","))


def _may_hang(context: Context, shown: tuple[int, ...]) -> bool:
    try:
        return hangs_on(Context(with_gpus(context.plan, shown), context.facts), shown)
    except Unknown:
        return True


def _near(free: Sequence[Gpu], count: int) -> tuple[int, ...]:
    """`count` of these GPUs: joined by NVLink and on one NUMA node, else one of both, else any; () of too few.

    Of several groups the smallest that is large enough, so that the others stay whole.
    """
    if len(free) < count:
        return ()
    for key in (lambda gpu: (_linked(gpu), gpu.numa_nodes), _linked, lambda gpu: gpu.numa_nodes):
        groups: dict[object, list[int]] = {}
        for gpu in free:
            groups.setdefault(key(gpu), []).append(gpu.index)
        large = [group for group in groups.values() if len(group) >= count]
        if large:
            return tuple(min(large, key=len)[:count])
    return tuple(gpu.index for gpu in free)[:count]


def _linked(gpu: Gpu) -> tuple[str, ...]:
    """The GPUs that this one reaches over NVLink, itself among them: equal for those of one group."""
    return tuple(sorted({str(gpu.index), *(other for other, way in (gpu.peers or {}).items() if way == "nvlink")}))
