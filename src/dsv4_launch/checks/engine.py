"""The vLLM of this machine, for a native launch."""

from dsv4_launch.checks.base import Context, Finding, check, on_native


@check("ENG001", applies=on_native)
def vllm_installed(context: Context) -> Finding | None:
    """The vllm executable is there."""
    native = context.known(context.facts.native, "native")
    if native.path is not None:
        return None
    fix = f"install vLLM {context.plan.vllm} and name its program in `target.executable`, or use `--target docker`"
    return Finding(f"There is no executable {native.executable!r} here", fix)


@check("ENG002", requires=("ENG001",), applies=on_native)
def vllm_version(context: Context) -> Finding | None:
    """The installed vLLM is the release that the plan was made for.

    Flags come and go between releases, so the arguments fit only that one. What a build adds after a plus (+cpu,
    +cu129) does not count.
    """
    native = context.known(context.facts.native, "native")
    version = context.known(native.version, "native.version")
    if version.partition("+")[0] == context.plan.vllm.partition("+")[0]:
        return None
    fix = f'set `vllm: "{version.partition("+")[0]}"` in the config, or install {context.plan.vllm}'
    return Finding(f"{native.path} is vLLM {version}, the plan is for {context.plan.vllm}", fix)


@check("ENG004")
def variables_set(context: Context) -> Finding | None:
    """The variables that are handed to the server by name are set here.

    An API key whose variable is not set would leave the endpoint open, without a word from vLLM.
    """
    names = [v.env_from for v in context.plan.environment if v.value is None and v.env_from]
    if not names:
        return None
    known = context.known(context.facts.variables, "variables")
    unset = [name for name in names if not context.known(known.get(name), f"variables.{name}")]
    if not unset:
        return None
    verb = "is" if len(unset) == 1 else "are"
    return Finding(
        f"{' and '.join(unset)} {verb} not set here, and the server is to get it by name", f"`export {unset[0]}=…`"
    )


@check("ENG003", applies=lambda plan: plan.rehearsal)
def cpu_flags(context: Context) -> Finding | None:
    """For a rehearsal: the processor has the vector instructions that vLLM's CPU build is compiled for."""
    system = context.known(context.facts.system, "system")
    if system.architecture not in ("x86_64", "amd64"):
        return None
    flags = context.known(system.cpu_flags, "system.cpu_flags")
    if "avx2" in flags or "avx512f" in flags:
        return None
    return Finding(
        "This processor has neither AVX2 nor AVX-512, which vLLM needs on a CPU", "rehearse on a newer machine"
    )
