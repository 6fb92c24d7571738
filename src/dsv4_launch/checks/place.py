"""Which GPUs of a node to take: free ones, near each other, and not a subset that is known to hang."""

from collections.abc import Iterable

from dsv4_launch.checks.base import Context, Finding, check, named
from dsv4_launch.facts import Gpu
from dsv4_launch.plan.types import Plan

SYMM_MEM = "VLLM_ALLREDUCE_USE_SYMM_MEM"


def _several(plan: Plan) -> bool:
    return plan.gpus.count > 1


@check("GPU011", requires=("GPU003",), severity="warning", applies=_several)
def one_numa_node(context: Context) -> Finding | None:
    """The GPUs to be used hang on one NUMA node, where one has enough that are free.

    Ranks on both sides talk across the sockets' link when they load weights and exchange messages through the host.
    """
    nodes = {gpu.index: context.known(gpu.numa_nodes, f"gpus.{gpu.index}.numa_nodes") for gpu in context.used_gpus}
    if len(set(nodes.values())) < 2:
        return None
    chosen = choose(context)
    if not chosen or len({gpu.numa_nodes for gpu in context.facts.gpus or () if gpu.index in chosen}) > 1:
        return None
    found = f"{named(nodes)} hang on {len(set(nodes.values()))} NUMA nodes, {named(chosen)} are free on one"
    return Finding(found, f"set {setting(context, chosen)}")


@check("GPU012", requires=("GPU003",), unread="warning", applies=_several)
def no_subset_that_hangs(context: Context) -> Finding | None:
    """The server does not see a part only of an NVLink fabric of B200s while it uses symmetric memory.

    The rendezvous of symmetric memory spans the fabric; on an 8-GPU B200 host with some GPUs hidden it was reported to
    wait for ever (https://github.com/vllm-project/vllm/issues/38550, advisory D42).
    """
    if not hangs_on(context, visible(context)):
        return None
    count = len(context.known(context.facts.gpus, "gpus"))
    found = f"The server would see {len(visible(context))} of {count} GPUs of an NVLink fabric, where it can hang (D42)"
    return Finding(found, f'set `env: {{{SYMM_MEM}: "0"}}`, or `gpus: all`')


def visible(context: Context) -> tuple[int, ...]:
    """Indices of the GPUs that the server will see, which may be more than it uses."""
    shown = context.plan.gpus.visible
    if shown != "all":
        return tuple(shown)
    native = context.facts.native
    if context.plan.target == "native" and native is not None and native.visible_devices is not None:
        return context.used
    return tuple(gpu.index for gpu in context.facts.gpus or ())


def hangs_on(context: Context, shown: Iterable[int]) -> bool:
    """Whether a server that sees these GPUs may hang in the rendezvous of symmetric memory."""
    plan = context.plan
    if plan.gpus.arch != "sm100" or plan.parallel.get("tensor", 1) < 2 or context.variable(SYMM_MEM) == "0":
        return False
    gpus = context.known(context.facts.gpus, "gpus")
    if len(set(shown)) >= len(gpus):
        return False
    states = [context.known(gpu.fabric_state, f"gpus.{gpu.index}.fabric_state") for gpu in context.used_gpus]
    return any(state != "not supported" for state in states)


def setting(context: Context, chosen: tuple[int, ...]) -> str:
    """The words of a config that take these GPUs, with what they need so as not to hang."""
    others = f', with `env: {{{SYMM_MEM}: "0"}}`' if hangs_on(context, chosen) else ""
    return f"`gpus: {list(chosen)}`{others}"


def choose(context: Context, avoid: Iterable[int] = ()) -> tuple[int, ...]:
    """As many free GPUs of the plan's type as it needs, of one NUMA node where that has them; () when there are not."""
    count, taken = context.plan.gpus.count, set(avoid)
    free: list[Gpu] = [
        gpu
        for gpu in context.facts.gpus or ()
        if gpu.name in context.plan.gpus.names and gpu.processes == () and gpu.index not in taken
    ]
    groups: dict[tuple[int, ...], list[int]] = {}
    for gpu in free:
        groups.setdefault(gpu.numa_nodes or (), []).append(gpu.index)
    near = next((group for group in groups.values() if len(group) >= count), None)
    chosen = near if near is not None else [gpu.index for gpu in free]
    return tuple(chosen[:count]) if len(chosen) >= count else ()
