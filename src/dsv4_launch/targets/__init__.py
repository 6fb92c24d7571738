"""Every target by its name; a new one is a module and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from dsv4_launch.plan.types import Plan
from dsv4_launch.targets import docker, native
from dsv4_launch.targets.base import Target
from dsv4_launch.values import Rendered

TARGETS: Mapping[str, Target] = {target.name: target for target in (docker.TARGET, native.TARGET)}


def render(plan: Plan) -> Rendered:
    """What the plan's own target makes of it."""
    return TARGETS[plan.target].render(plan)
