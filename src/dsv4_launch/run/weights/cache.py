"""The Hub cache on disk, as huggingface_hub lays it out: what is there, what is missing, what was left half done.

Nothing here has a layout of its own: blobs are named after their hash, snapshots are links to blobs, refs name commits
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache), so that every other tool sees what was pulled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

COMMIT: Final = re.compile(r"[0-9a-f]{40}")
# The file that one of ours holds while it writes; in the folder that huggingface_hub keeps its own locks in.
LOCK: Final = "dsv4-pull.lock"
STALE_S: Final = 60.0
_INDEX: Final = "model.safetensors.index.json"
_MAX_LIST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a repository: its path, its size in bytes (None: not known) and the name of its blob ("")."""

    path: str
    size: int | None
    blob: str


@dataclass(frozen=True, slots=True)
class Cached:
    """What the cache holds of a repository at one commit. ``missing``: None when nothing says what there should be."""

    repo: str
    commit: str
    refs: tuple[str, ...]
    size_bytes: int
    files: int
    missing: tuple[str, ...] | None
    path: str


def repo_folder(cache: str | Path, repo: str) -> Path:
    """Where the cache keeps a model."""
    return Path(cache) / f"models--{repo.replace('/', '--')}"


def locks_folder(cache: str | Path, repo: str) -> Path:
    """Where huggingface_hub locks the blobs of a model."""
    return Path(cache) / ".locks" / repo_folder(cache, repo).name


def commit_of(cache: str | Path, repo: str, revision: str) -> str:
    """The commit that a revision stands for here; "" when the cache does not say."""
    if COMMIT.fullmatch(revision):
        return revision
    return refs_of(cache, repo).get(revision or "main", "")


def refs_of(cache: str | Path, repo: str) -> dict[str, str]:
    """Branches and tags that the cache knows, with their commits."""
    folder, found = repo_folder(cache, repo) / "refs", {}
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(OSError, ValueError):
            if path.is_file() and COMMIT.fullmatch(text := path.read_text()[:64].strip()):
                found[str(path.relative_to(folder))] = text
    return found


def write_ref(cache: str | Path, repo: str, revision: str, commit: str) -> None:
    """Record what a branch or tag stands for, at once and only when it differs. A commit needs no record."""
    revision = revision or "main"
    if COMMIT.fullmatch(revision) or refs_of(cache, repo).get(revision) == commit:
        return
    path = repo_folder(cache, repo) / "refs" / revision
    path.parent.mkdir(parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=path.parent.parent, prefix=".ref.")
    with os.fdopen(number, "w") as file:
        file.write(commit)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def listed(cache: str | Path, repo: str, commit: str) -> list[Item] | None:
    """Every file that the commit has, from the list that huggingface_hub (2.0 and newer) keeps; None without one."""
    data = _json(repo_folder(cache, repo) / "trees" / f"{commit}.json")
    files = data.get("files")
    if not isinstance(files, Mapping) or not files:
        return None
    found = []
    for path, about in files.items():
        if not isinstance(about, Mapping):
            return None
        size = about.get("lfs_size") or about.get("size")
        blob = about.get("lfs_sha256") or about.get("blob_id") or ""
        found.append(Item(str(path), size if isinstance(size, int) else None, str(blob)))
    return found


def missing_of(cache: str | Path, repo: str, commit: str) -> tuple[str, ...] | None:
    """What a snapshot lacks, by the commit's list or else by the checkpoint's own index; None when neither is here."""
    folder = repo_folder(cache, repo) / "snapshots" / commit
    items = listed(cache, repo, commit)
    if items is not None:
        return tuple(item.path for item in items if not _holds(folder / item.path, item.size))
    shards = _json(folder / _INDEX).get("weight_map")
    if isinstance(shards, Mapping):
        names = ["config.json", *sorted({str(name) for name in shards.values()})]
    elif (folder / "model.safetensors").exists():
        names = ["config.json"]
    else:
        return None
    return tuple(name for name in names if not (folder / name).is_file())


def cached(cache: str | Path, only: str = "") -> list[Cached]:
    """Every snapshot of every model here, or of one. A cache that is not there is empty."""
    found = []
    for folder in sorted(Path(cache).glob("models--*/snapshots/*")):
        repo = folder.parents[1].name.removeprefix("models--").replace("--", "/", 1)
        if not folder.is_dir() or (only and repo != only):
            continue
        files = [path for path in folder.rglob("*") if path.is_file()]
        refs = tuple(name for name, commit in refs_of(cache, repo).items() if commit == folder.name)
        size = sum(path.stat().st_size for path in files)
        missing = missing_of(cache, repo, folder.name)
        found.append(Cached(repo, folder.name, refs, size, len(files), missing, str(folder)))
    return found


@contextlib.contextmanager
def sole_writer(cache: str | Path, repo: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the model for writing; whoever comes second says so and waits. The kernel ends it with its process."""
    folder = locks_folder(cache, repo)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            who = file.read(20).strip()
            say(f"Another dsv4 writes {repo} here{f' (process {who})' if who.isdigit() else ''}; waiting for its end")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def sweep(cache: str | Path, repo: str, older_s: float) -> int:
    """Remove halves that a killed download left; returns their bytes. They are never taken up again: huggingface_hub
    gives every attempt a name of its own (https://github.com/huggingface/huggingface_hub/pull/4228).

    A half whose blob is locked is somebody's, and stays; so does a young one when ``older_s`` says so, for file systems
    where everybody gets the lock.
    """
    freed = 0
    for path in (repo_folder(cache, repo) / "blobs").glob("*.incomplete"):
        with contextlib.suppress(OSError):
            about = path.stat()
            if time.time() - about.st_mtime >= older_s and _unlocked(cache, repo, path.name.partition(".")[0]):
                path.unlink()
                freed += about.st_size
    return freed


def _unlocked(cache: str | Path, repo: str, blob: str) -> bool:
    try:
        with (locks_folder(cache, repo) / f"{blob}.lock").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _holds(path: Path, size: int | None) -> bool:
    try:
        return path.is_file() and (size is None or path.stat().st_size == size)
    except OSError:
        return False


def _json(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text()) if path.stat().st_size <= _MAX_LIST_BYTES else {}
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
