"""Image and weights: fetched before the launch, so that a start's deadline is about the start."""

from __future__ import annotations

from dsv4_launch.checks.request import request_for
from dsv4_launch.facts import HostFacts
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.progress import Progress
from dsv4_launch.run.start.stage_times import StageTimes
from dsv4_launch.run.world import World


def missing(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """What a launch would fetch first, as far as the facts tell."""
    images = (facts.docker.images if facts.docker else None) or {}
    ref = plan.container.image
    found = [f"image {ref}"] if plan.target == "docker" and ref in images and images[ref] is None else []
    return (*found, *([] if _complete(plan, facts) else [f"weights {plan.model.repo}"]))


def fetch(plan: Plan, facts: HostFacts, world: World, progress: Progress, times: StageTimes, *, pull: bool) -> None:
    """Fetch what is missing. Raises ToolError (image) or WeightsError. Complete weights need no network."""
    if plan.target == "docker" and world.engine is not None:
        from dsv4_launch.run.images import ensure_image

        times.reach("image", "pulling the image")
        ensure_image(world.engine(), plan.container.image, progress, pull=pull)
    if _complete(plan, facts):
        return
    from dsv4_launch.run.weights import pull as weights

    wanted = weights.pull_of(plan, request_for(plan, world.places).hub_cache or "")
    if wanted is None:
        return
    if not pull:
        raise weights.missing(wanted)
    times.reach("pull", "pulling the weights")
    weights.pull_weights(wanted, world.environ, progress)


def _complete(plan: Plan, facts: HostFacts) -> bool:
    if plan.model.local:
        return True
    key = f"{plan.model.repo}@{plan.model.revision}" if plan.model.revision else plan.model.repo
    snapshot = ((facts.hub.snapshots if facts.hub else None) or {}).get(key)
    return snapshot is not None and snapshot.complete
