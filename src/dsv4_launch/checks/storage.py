"""Space for what has to be written: weights and image."""

from dsv4_launch.checks.base import Context, Finding, check, on_docker
from dsv4_launch.facts import Snapshot

GB = 1000**3
# The official image has about 10 GB to download and 25 to 35 unpacked; both are on disk for a while.
IMAGE_BYTES = 40 * GB


@check("DSK001", applies=lambda plan: not plan.model.local and plan.model.weight_bytes > 0)
def weights_fit(context: Context) -> Finding | None:
    """The disk of the weights has room for what is still missing of them."""
    model = context.plan.model
    cached = snapshot(context)
    if cached is not None and cached.complete:
        return None
    missing = model.weight_bytes - (cached.size_bytes if cached is not None else 0)
    disks = context.known(context.facts.disks, "disks")
    disk = context.known(disks.get("weights"), "disks.weights")
    if disk.free_bytes >= missing:
        return None
    has = f"{disk.free_bytes / GB:.0f} GB are free at {disk.path}"
    fix = "free some space, or point HF_HOME to a larger disk"
    return Finding(f"{has}, the weights of {model.repo} still need {max(missing, 0) / GB:.0f}", fix)


@check("DSK002", requires=("CTR002",), severity="warning", applies=on_docker)
def image_fits(context: Context) -> Finding | None:
    """The engine's disk has room for the image, if it has to be pulled."""
    docker = context.known(context.facts.docker, "docker")
    images = context.known(docker.images, "docker.images")
    ref = context.plan.container.image
    if images.get(ref) is not None or context.plan.rehearsal:
        return None
    disks = context.known(context.facts.disks, "disks")
    disk = context.known(disks.get("docker"), "disks.docker")
    if disk.free_bytes >= IMAGE_BYTES:
        return None
    has = f"{disk.free_bytes / GB:.0f} GB are free at {disk.path}"
    fix = "free some with `docker system df` and `docker image prune`, or move the engine's data-root"
    return Finding(f"{has}, pulling {ref} may take {IMAGE_BYTES / GB:.0f}", fix)


def snapshot(context: Context) -> Snapshot | None:
    """What the cache holds of the plan's model. Raises Unknown when nobody could look."""
    hub = context.known(context.facts.hub, "hub")
    model = context.plan.model
    key = f"{model.repo}@{model.revision}" if model.revision else model.repo
    snapshots = context.known(hub.snapshots, "hub.snapshots")
    if key not in snapshots:
        context.known(None, f"hub.snapshots.{key}")
    return snapshots[key]
