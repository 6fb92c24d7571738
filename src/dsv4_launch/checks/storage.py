"""Space for what has to be written: weights and image."""

from dsv4_launch.catalog.thresholds import number
from dsv4_launch.checks.base import Context, Finding, check, on_docker
from dsv4_launch.facts import Snapshot

GB = 1000**3
NETWORK_TYPES = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "fhgfs", "gpfs"),
    *("lustre", "nfs", "nfs4", "smb3", "virtiofs", "wekafs"),
)


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
    if context.room(disk.free_bytes, disk.total_bytes, "disks.weights.free_bytes", "bytes") >= missing:
        return None
    has = f"{disk.free_bytes / GB:.0f} GB are free at {disk.path}"
    fix = f"free some space, or point HF_HOME to a larger disk{_larger(context, missing)}"
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
    needed = number("image_gb") * GB
    if context.room(disk.free_bytes, disk.total_bytes, "disks.docker.free_bytes", "bytes") >= needed:
        return None
    has = f"{disk.free_bytes / GB:.0f} GB are free at {disk.path}"
    fix = "free some with `docker system df` and `docker image prune`, or move the engine's data-root"
    fix += _larger(context, needed)
    return Finding(f"{has}, pulling {ref} may take {needed / GB:.0f}", fix)


@check("DSK003", severity="warning", applies=lambda plan: plan.model.weight_bytes > 0)
def weights_near(context: Context) -> Finding | None:
    """The weights are on a local disk, or loaded in the way that a network file system likes.

    vLLM maps the files by default; every page that a rank touches is then a round trip. `eager` reads each file in one
    go (https://docs.vllm.ai/en/latest/api/vllm/config/load.html).
    """
    purpose = "model" if context.plan.model.local else "weights"
    kind = _network_type(context, purpose)
    if kind is None or context.argument("safetensors_load_strategy") is not None:
        return None
    fix = "set `engine.safetensors_load_strategy: eager`, or put them on a local disk"
    return Finding(f"The weights are on a network file system ({kind}), from which mapped files load slowly", fix)


@check("DSK004", severity="warning")
def caches_near(context: Context) -> Finding | None:
    """The compile caches are on a local disk: many small files and locks, which network file systems do badly."""
    kind = _network_type(context, "caches")
    if kind is None:
        return None
    fix = "set XDG_CACHE_HOME (or the config's cache folder) to a local disk"
    return Finding(f"The compile caches are on a network file system ({kind})", fix)


def _network_type(context: Context, purpose: str) -> str | None:
    disks = context.known(context.facts.disks, "disks")
    disk = context.known(disks.get(purpose), f"disks.{purpose}")
    kind = context.known(disk.fs_type, f"disks.{purpose}.fs_type")
    return kind if kind in NETWORK_TYPES or kind.startswith("fuse.") else None


def _larger(context: Context, needed: int) -> str:
    """A hint at the local file system with the most space, where that is enough."""
    mounts = [mount for mount in context.facts.mounts or () if needed <= mount.free_bytes <= mount.total_bytes]
    if not mounts:
        return ""
    best = max(mounts, key=lambda mount: mount.free_bytes)
    return f" ({best.mount_point} has {best.free_bytes / GB:.0f} GB free)"


def snapshot(context: Context) -> Snapshot | None:
    """What the cache holds of the plan's model. Raises Unknown when nobody could look."""
    hub = context.known(context.facts.hub, "hub")
    model = context.plan.model
    key = f"{model.repo}@{model.revision}" if model.revision else model.repo
    snapshots = context.known(hub.snapshots, "hub.snapshots")
    if key not in snapshots:
        context.known(None, f"hub.snapshots.{key}")
    return snapshots[key]
