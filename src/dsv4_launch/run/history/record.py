"""Writing a launch down: its entry in the history, and the log of what it replaces. Neither may fail a launch."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from dsv4_launch.errors import Dsv4Error
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.history.entries import Outcome, entry_of
from dsv4_launch.run.images import digest_of_image
from dsv4_launch.run.logs import saved as saved_logs
from dsv4_launch.run.progress import Progress
from dsv4_launch.run.service import Driver
from dsv4_launch.run.world import World


def record(
    plan: Plan, digest: str, world: World, progress: Progress, outcome: Outcome, *, by: str, why: str = ""
) -> None:
    """Add a launch to the history, with the image that it ran."""
    if world.history is None:
        return
    try:
        entry = entry_of(
            plan,
            digest,
            user=world.places["user"],
            image_digest=_image(plan, world),
            outcome=outcome,
            why=why.partition("\n")[0],
            by=by,
        )
        world.history.add(plan.name, entry)
    except (Dsv4Error, OSError) as error:
        progress.say(f"warning: this launch is not in the history: {error}")


def record_running(plan: Plan, digest: str, image: str, world: World, progress: Progress, *, by: str) -> None:
    """Write down that what runs is healthy, where nobody waited for its launch: a rollback may look for it later."""
    if world.history is None:
        return
    try:
        if any(entry.digest == digest and entry.outcome == "healthy" for entry in world.history.entries(plan.name)):
            return
        user = world.places["user"]
        entry = entry_of(plan, digest, user=user, image_digest=image, outcome="healthy", why="", by=by)
        world.history.add(plan.name, entry)
    except (Dsv4Error, OSError) as error:
        progress.say(f"warning: that {plan.name} is healthy is not in the history: {error}")


def save_log(driver: Driver, name: str, environ: Mapping[str, str], progress: Progress) -> str:
    """Save the log of a service that is to be removed; returns where it lies ("" when nowhere)."""
    try:
        path = saved_logs.save(name, driver.logs(name, follow=False, tail=saved_logs.MAX_LINES), environ)
    except (Dsv4Error, OSError) as error:
        progress.say(f"warning: the log of {name} is not saved: {error}")
        return ""
    return str(path) if path else ""


def _image(plan: Plan, world: World) -> str:
    if plan.target != "docker" or world.engine is None:
        return ""
    with contextlib.suppress(Dsv4Error):
        return digest_of_image(world.engine(), plan.container.image)
    return ""
