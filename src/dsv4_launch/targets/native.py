"""The native target: ``vllm serve`` with the plan's arguments, environment in front of it."""

from __future__ import annotations

from dsv4_launch.plan.types import Plan
from dsv4_launch.targets.base import Target
from dsv4_launch.values import Command, Rendered, Word


def render(plan: Plan) -> Rendered:
    """``vllm serve MODEL --host … --port …``, then the arguments in the documented order."""
    words: list[Word] = [plan.native.executable, "serve", plan.model.served]
    groups: list[tuple[Word, ...]] = [("--host", plan.host), ("--port", str(plan.port))]
    if plan.model.revision:
        groups.append(("--revision", plan.model.revision))
    groups += [argument.argv for argument in plan.arguments]
    breaks: list[int] = []
    for group in groups:
        breaks.append(len(words))
        words += group
    env = {v.name: v.value for v in plan.environment if v.value is not None}
    secrets = {v.name: v.env_from for v in plan.environment if v.value is None and v.name != v.env_from}
    return Rendered(Command(tuple(words), env, secrets), breaks=tuple(breaks))


TARGET = Target("native", render)
