"""What a change would be, for a person and for a script: differences, and what clients notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsv4_launch.cli import show
from dsv4_launch.errors import Dsv4Error, HostError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsv4_launch.plan.compare import Comparison
    from dsv4_launch.plan.types import Plan
    from dsv4_launch.run.service import Seen


def running_plan(seen: Seen) -> Plan:
    """The plan of what runs, from the config that it carries.

    Raises HostError when it carries none, InputError when this version of dsv4 does not take it any more.
    """
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run.service import must_be_ours
    from dsv4_launch.run.status.status import loaded

    where = f"{seen.target} {seen.name}"
    must_be_ours(seen)
    if not seen.config:
        raise HostError(
            f"{seen.name} carries no config: its record was lost.",
            where=where,
            fix=f"`dsv4 stop {seen.name}` and `dsv4 serve CONFIG` put a known one in its place.",
            code="no-config",
        )
    try:
        return resolve(loaded(seen.config))
    except Dsv4Error as error:
        first = error.problems[0]
        raise InputError(
            f"The config of {seen.name} is not valid for this version of dsv4: {first.message}",
            where=where,
            fix=first.fix,
        ) from None


def compare_running(seen: Seen, wanted: Plan, *, names: bool = True) -> Comparison:
    """What runs against a plan. What another version of dsv4 launched differs in its rendering too."""
    from dataclasses import replace

    from dsv4_launch.plan.compare import Difference, compare
    from dsv4_launch.run.service import digest_of
    from dsv4_launch.targets import render

    running = running_plan(seen)
    found = compare(running, wanted, names=names)
    today = digest_of(running, render(running))
    if not seen.digest or seen.digest == today:
        return found
    other = Difference("dsv4", "rendering", f"by another version of dsv4 (digest {seen.digest})", f"digest {today}")
    return replace(found, differences=(other, *found.differences))


def tell(found: Comparison, say: Callable[[str], None] = show.say) -> None:
    """The differences as lines, then what clients notice."""
    from dsv4_launch.plan.compare import label, shown

    width = min(44, max((len(label(one)) for one in found.differences), default=0))
    for one in found.differences:
        say(show.clean(f"  {label(one):<{width}}  {shown(one.running)} -> {shown(one.config)}"))
    if found.effects:
        say("For clients:")
    for effect in found.effects:
        say(show.clean(f"  {effect.subject}: {effect.text} ({effect.source})"))
