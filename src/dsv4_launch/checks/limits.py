"""What the operating system lets the server have: open files and processors."""

from dsv4_launch.catalog.thresholds import number
from dsv4_launch.checks.base import Context, Finding, check, on_gpus
from dsv4_launch.checks.container import engine_of
from dsv4_launch.values import counted


@check("ENG005", requires=("CTR002",), severity="warning")
def open_files(context: Context) -> Finding | None:
    """The server may open as many files as vLLM asks for: each connection is one."""
    plan, wanted = context.plan, number("open_files")
    if plan.target == "docker":
        asked = plan.container.ulimits.get("nofile")
        defaults = engine_of(context).default_ulimits if asked is None else {"nofile": asked}
        known = context.known(defaults, "docker.default_ulimits")
        has = context.known(known.get("nofile"), "docker.default_ulimits.nofile")
        where, fix = "A container here", f"set `container.ulimits: {{nofile: {wanted}}}`"
    else:
        system = context.known(context.facts.system, "system")
        has = context.known(system.limits, "system.limits").nofile_hard
        where, fix = "This user", f"`ulimit -Hn {wanted}`, or LimitNOFILE of the service"
    if has == -1 or has >= wanted:
        return None
    return Finding(f"{where} may open {has} files, vLLM asks for {wanted}", fix)


@check("ENG006", severity="warning", applies=on_gpus)
def processors(context: Context) -> Finding | None:
    """There is a processor for each GPU's process and for those beside them."""
    need = context.plan.gpus.count + number("processors_beside_gpus")
    system = context.known(context.facts.system, "system")
    has = context.known(system.cpu_count, "system.cpu_count")
    if has >= need:
        return None
    busy = f"{need} are kept busy by {counted(context.plan.gpus.count, 'GPU')}"
    found = f"{counted(has, 'processor')} may be used here; {busy}"
    return Finding(found, "give the server more (cgroup, taskset, instance type)")
