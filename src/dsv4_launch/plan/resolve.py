"""Config to plan: everything decided, each value with its reason. The same config gives the same plan anywhere."""

from __future__ import annotations

from dataclasses import replace

from dsv4_launch.catalog.flags import flag_table
from dsv4_launch.catalog.rules import constraints
from dsv4_launch.config.load import Loaded, to_data
from dsv4_launch.errors import ImpossibleError, InputError, Problem
from dsv4_launch.plan.advise import advice
from dsv4_launch.plan.arguments import arguments
from dsv4_launch.plan.binds import binds, environment
from dsv4_launch.plan.conditions import values_of
from dsv4_launch.plan.constrain import broken
from dsv4_launch.plan.lookup import facts_of, look_up
from dsv4_launch.plan.parts import (
    deviations_of,
    doubts_of,
    executable_of,
    gpus_of,
    image_of,
    log_of,
    model_of,
    model_source,
    repo_of,
    stack_of,
    stop_timeout_s,
)
from dsv4_launch.plan.recheck import recheck
from dsv4_launch.plan.refuse import address, keys, layout, options, secrets
from dsv4_launch.plan.secrets import KEY_VARIABLE
from dsv4_launch.plan.settings import settle, written
from dsv4_launch.plan.types import Plan, PlannedContainer, PlannedNative
from dsv4_launch.plan.variables import unread
from dsv4_launch.values import frozen, host_path

# Problems that say "valid, but cannot be"; every other one says that the input is wrong.
_IMPOSSIBLE = frozenset(
    {"flag-not-in-release", "variable-not-in-release", "layout", "gpu-unsupported", "version-too-old"}
)


def resolve(loaded: Loaded) -> Plan:
    """The plan of a config.

    Raises InputError (names that do not exist, values that vLLM would not parse) or ImpossibleError (valid, but no vLLM
    or GPU can do it, or vLLM refuses the arguments together), each with every problem of its kind and the file:line of
    each.
    """
    plan, problems = examine_config(loaded)
    if plan is None or problems:
        impossible = all(is_impossible(problem) for problem in problems)
        raise (ImpossibleError if impossible else InputError)(*problems)
    if together := recheck(plan):
        raise ImpossibleError(*together)
    return plan


def resolve_to_fit(loaded: Loaded) -> Plan:
    """The plan of a config as a launch needs it: `resolve`, and what its GPUs' memory can hold.

    Raises what `resolve` raises, and ImpossibleError when not even one request fits. A doubt is one of its warnings.
    """
    from dsv4_launch.plan.fit.planner import judge_memory

    plan = resolve(loaded)
    too_small, doubts = judge_memory(plan, loaded.origins.where(("engine", "max_model_len")))
    if too_small:
        raise ImpossibleError(*too_small)
    return replace(plan, notices=(*plan.notices, *doubts)) if doubts else plan


def is_impossible(problem: Problem) -> bool:
    """True when the problem is of the kind "valid, but cannot be"."""
    return problem.code in _IMPOSSIBLE or any(problem.code == constraint.code for constraint in constraints())


def examine_config(loaded: Loaded) -> tuple[Plan | None, list[Problem]]:
    """The plan if there is one, and every problem that stands in its way."""
    config, where = loaded.config, loaded.origins.where
    known, problems = look_up(config, where)
    problems += secrets(config, where) + options(config, where) + address(config, where) + keys(config, where)
    if known is None:
        return None, problems
    facts = facts_of(config, known)
    explicit = written(config, where)
    # Constraints judge what the config asks for on its GPU; a rehearsal judges what is left of it.
    settled, notices = settle(explicit, facts, {"model.repo": repo_of(config, known.variant)})
    table = flag_table(known.release.version)
    found, refused = arguments(settled, table, where)
    unknown, doubted = unread(config, known, table, where)
    values = values_of(settled, facts)
    problems += refused + unknown + broken(values, facts, where) + layout(config, known, settled, where)
    if problems:
        return None, problems
    model = model_of(config, known)
    image = config.container.image or image_of(known)
    served = settled.get("server.served_model_name")
    names = served.value if served else (model.repo or str(config.name))
    plan = Plan(
        name=config.name,
        target=config.target.type,
        vllm=known.version,
        stack=stack_of(config, known),
        model=model,
        gpus=gpus_of(known, settled),
        parallel={name: int(settled[f"parallel.{name}"].value) for name in ("tensor", "data", "pipeline", "expert")},
        arguments=found,
        environment=environment(config, settled, executable_of(config, known), where),
        host=config.server.host,
        port=config.server.port,
        served_model_names=(names,) if isinstance(names, str) else tuple(names),
        api_key_env=config.server.api_key_env or (KEY_VARIABLE if config.server.api_key_file else ""),
        hf_token_env=config.secrets.hf_token,
        container=PlannedContainer(
            image=image,
            runtime="" if settled["container.runtime"].value == "default" else str(settled["container.runtime"].value),
            ipc=str(settled["container.ipc"].value),
            shm_size=config.container.shm_size or "",
            restart=config.target.restart if config.target.type == "docker" else "no",
            binds=binds(config, known.gpu, image, model_source(config, known)),
            ulimits=dict(config.container.ulimits),
            network="host" if config.container.network == "host" else "",
            options=config.container.options,
            hardened=config.container.hardened,
            **log_of(config),
        ),
        native=PlannedNative(
            executable_of(config, known), config.target.restart if config.target.type == "native" else "no"
        ),
        timeout_s=config.start.timeout_s,
        stop_timeout_s=stop_timeout_s(config, settled),
        notices=(
            *notices,
            *doubts_of(known, where(("vllm",))),
            *doubted,
            *advice(values, facts, where),
            *deviations_of(config, model, settled),
        ),
        api_key_file=host_path(config.server.api_key_file or ""),
        config=frozen(to_data(config)),
    )
    return plan, []
