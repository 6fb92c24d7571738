"""Free space and file system of a path that may not exist yet."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dsv4_launch.facts import Disk, Mount
from dsv4_launch.host.looking import CouldNotLook, Note, spell

MOUNTS = Path("/proc/self/mountinfo")
# What is asked for its free space as a place for weights: local disks. A dead network mount would not answer.
LOCAL_TYPES = ("btrfs", "ext2", "ext3", "ext4", "f2fs", "xfs", "zfs")


def read_disk(purpose: str, path: str, note: Note) -> Disk:
    """The file system under `path`, or under its nearest parent that exists.

    Errors: CouldNotLook for a relative path, or where the file system does not answer.
    """
    wanted = Path(path)
    if not wanted.is_absolute():
        raise CouldNotLook(f"{path!r} is not an absolute path")
    try:
        found = next(parent for parent in (wanted, *wanted.parents) if _exists(parent)).resolve()
        space = os.statvfs(found)
    except OSError as error:
        raise CouldNotLook(spell(error)) from error
    mount_point, fs_type = None, None
    try:
        mount_point, fs_type = mount_of(str(found), MOUNTS.read_text(errors="replace"))
    except OSError as error:
        note(f"disks.{purpose}.fs_type", spell(error))
    return Disk(
        path=path,
        exists=found == wanted.resolve(),
        looked_at=str(found),
        mount_point=mount_point,
        fs_type=fs_type,
        total_bytes=space.f_blocks * space.f_frsize,
        free_bytes=space.f_bavail * space.f_frsize,
        writable=os.access(found, os.W_OK),
    )


def mount_of(path: str, mountinfo: str) -> tuple[str | None, str | None]:
    """Mount point and type of the file system that holds a path, from the text of /proc/self/mountinfo.

    The deepest mount point wins, and of several on one point the last, which hides the others.
    """
    best: tuple[str | None, str | None] = (None, None)
    for point, fs_type, _options in _lines(mountinfo):
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0] or ""):
            best = (point, fs_type)
    return best


def read_mounts(mountinfo: str | None = None) -> tuple[Mount, ...]:
    """The local file systems that this user may write to, each once, the one with the most space first.

    Errors: CouldNotLook where the mounts cannot be read.
    """
    try:
        text = MOUNTS.read_text(errors="replace") if mountinfo is None else mountinfo
    except OSError as error:
        raise CouldNotLook(spell(error)) from error
    found: dict[int, Mount] = {}
    for point, fs_type, options in _lines(text):
        if fs_type not in LOCAL_TYPES or "rw" not in options or not Path(point).is_dir():
            continue
        try:
            device, space = Path(point).stat().st_dev, os.statvfs(point)
        except OSError:
            continue
        total, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
        if os.access(point, os.W_OK) and device not in found:
            found[device] = Mount(mount_point=point, fs_type=fs_type, total_bytes=total, free_bytes=free)
    return tuple(sorted(found.values(), key=lambda mount: -mount.free_bytes)[:64])


def _lines(mountinfo: str) -> Iterator[tuple[str, str, list[str]]]:
    """Mount point, type and options of each line of /proc/self/mountinfo."""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 6:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), fields[4])
        yield point, after.split(" ", 1)[0], fields[5].split(",")


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
