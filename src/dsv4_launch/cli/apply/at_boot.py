"""What `dsv4 apply` and `dsv4 rollback` say of an installed unit that launches another config at the next boot."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from dsv4_launch.errors import Dsv4Error

if TYPE_CHECKING:
    from dsv4_launch.plan.types import Plan
    from dsv4_launch.targets.systemd import Launches


def other_at_boot(plan: Plan) -> str:
    """Why the next boot would not bring this plan back, and what to do; "" where it would, or no unit is installed."""
    from dsv4_launch.host import units
    from dsv4_launch.targets import systemd

    name = systemd.unit_name(plan)
    found = units.find(name, os.environ)
    launched = systemd.launches(found.text) if found else None
    if found is None or launched is None:
        return ""
    differs = _differs(plan, launched)
    if not differs:
        return ""
    if "/" in launched.config:
        fix = f"`dsv4 show {plan.name} > {shlex.quote(launched.config)}`, once it runs, makes that file the same."
    else:
        fix = f"`dsv4 unit FILE > {shlex.quote(str(found.path))}` names your own file; then `systemctl daemon-reload`."
    return f"at the next boot {name} ({found.path}) launches {launched.config}, {differs}. {fix}"


def _differs(plan: Plan, launched: Launches) -> str:
    from dsv4_launch.cli.configs import load_config
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run.service import digest_of
    from dsv4_launch.targets import render

    try:
        other = resolve(load_config(launched.config, launched.overrides, launched.target or None))
    except Dsv4Error as error:
        return f"which is not valid here ({error.problems[0].message.rstrip('.')})"
    same = other.target == plan.target and digest_of(other, render(other)) == digest_of(plan, render(plan))
    return "" if same else "which says something else than what you apply"
