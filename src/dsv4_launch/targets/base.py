"""What a target is: a record of pure functions from a plan to what is run, and from what was seen to a state."""

from __future__ import annotations

from collections.abc import Callable

from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import Rendered, digest


@dataclass(frozen=True, slots=True)
class Target:
    """One way to run a plan. ``render`` gives the command that creates the service, labels included."""

    name: str
    render: Callable[[Plan], Rendered]


def plan_digest(plan: Plan, command: object) -> str:
    """The digest that tells "running, but not this plan": over what runs, not over the reasons it was chosen for."""
    return digest({"target": plan.target, "command": command})
