"""The compile and kernel caches of this host: one folder an image and GPU type, never weights."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.errors import HostError


@dataclass(frozen=True, slots=True)
class CacheFolder:
    """One folder: the image (as its name tells it) and GPU type that filled it. ``changed`` is ISO 8601 UTC."""

    name: str
    image: str
    gpu: str
    bytes: int
    changed: str
    in_use: bool


def folders(root: Path, used: Collection[str]) -> tuple[CacheFolder, ...]:
    """What lies below ``root``. ``used``: names of the folders that a service which is not over mounts."""
    try:
        names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise HostError(f"The caches cannot be read: {error.strerror}.", where=str(root), code="caches") from None
    return tuple(_folder(root / name, name in used) for name in names)


def _folder(path: Path, in_use: bool) -> CacheFolder:
    key = next((key for key in sorted(gpus(), key=len, reverse=True) if path.name.endswith(f"-{key}")), "")
    size, changed = 0, path.lstat().st_mtime
    for folder, _, files in os.walk(path, onerror=lambda _: None):
        for name in files:
            try:
                about = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - a cache has many thousand files
            except OSError:
                continue
            if stat.S_ISREG(about.st_mode):
                size, changed = size + about.st_blocks * 512, max(changed, about.st_mtime)
    when = datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds")
    return CacheFolder(path.name, path.name.removesuffix(f"-{key}") if key else path.name, key, size, when, in_use)


def remove(root: Path, folder: CacheFolder) -> None:
    """Remove one folder. Links in it are not followed. Raises HostError when it is in use or cannot be removed."""
    path = root / folder.name
    if folder.in_use or path.parent != root or path.is_symlink():
        raise HostError(f"The cache {folder.name} is in use.", where=str(path), code="caches")
    try:
        shutil.rmtree(path)
    except OSError as error:
        fix = "Files that a container wrote belong to root: run it with sudo."
        raise HostError(
            f"The cache {folder.name} cannot be removed: {error.strerror}.", where=str(path), fix=fix, code="caches"
        ) from None
