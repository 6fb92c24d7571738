"""Where the GPUs of a plan lie on the node: near each other, and no subset that is known to hang."""

from dsv4_launch.checks.base import Context, Finding, check, named
from dsv4_launch.checks.selection import SYMM_MEM, choose, hangs_on, is_free
from dsv4_launch.plan.types import Plan


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
    first = [gpu.index for gpu in context.facts.gpus or ()][: context.plan.gpus.count]
    held = [gpu.index for gpu in context.facts.gpus or () if gpu.index in first and not is_free(context.plan, gpu)]
    other = f"free {named(held)} and set `gpus: all`" if held else "`gpus: all`"
    return Finding(found, f'set `env: {{{SYMM_MEM}: "0"}}`, or {other}')


def visible(context: Context) -> tuple[int, ...]:
    """Indices of the GPUs that the server will see, which may be more than it uses."""
    shown = context.plan.gpus.visible
    if isinstance(shown, tuple):
        return shown
    native = context.facts.native
    if context.plan.target == "native" and native is not None and native.visible_devices is not None:
        return context.used
    return tuple(gpu.index for gpu in context.facts.gpus or ())


def setting(context: Context, chosen: tuple[int, ...]) -> str:
    """The words of a config that take these GPUs, with what they need so as not to hang."""
    others = f', with `env: {{{SYMM_MEM}: "0"}}`' if hangs_on(context, chosen) else ""
    return f"`gpus: {list(chosen)}`{others}"
