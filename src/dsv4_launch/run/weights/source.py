"""Weights from another node or a shared directory: a Hub cache there, by path, rsync or ssh.

A source is where a Hub cache lies: the cache itself, the HF_HOME above it, or the model's folder in it. The snapshot
says which blobs are wanted; those that are not here come into a staging folder beside huggingface_hub's locks, on the
same file system, are compared with the hash that is their name, and only then become blobs. A half file is taken up
again where it ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from dsv4_launch.errors import Problem, WeightsError
from dsv4_launch.run.progress import Now, Progress, size_text
from dsv4_launch.run.weights import cache as layout
from dsv4_launch.run.weights.hash import can_check, matches
from dsv4_launch.run.weights.pull import FileNow, Pull, Watch
from dsv4_launch.values import counted

# More streams than one: an ssh connection is held to one core by its cipher.
STREAMS: Final = 4
_REMOTE: Final = re.compile(r"(rsync://|[^/:]+@?[^/:]*:)")


class Source(Protocol):
    """A Hub cache somewhere else."""

    def refs(self) -> Mapping[str, str]:
        """Branches and tags with their commits. Raises WeightsError when the model is not there."""

    def links(self, commit: str) -> Mapping[str, str]:
        """The snapshot's files, each with its blob's name; empty when that commit is not there."""

    def sizes(self) -> Mapping[str, int]:
        """Bytes of each blob."""

    def tree(self, commit: str) -> bytes:
        """huggingface_hub's list of the commit's files; empty when there is none."""

    def copy(self, blobs: Sequence[str], to: Path, stop: Callable[[], bool]) -> None:
        """Bring blobs into a folder, going on with what is half there. Raises WeightsError."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    path: str
    blob: str
    size: int


def is_remote(text: str) -> bool:
    """True for rsync://… and host:path; a path with a colon can be written ./a:b."""
    # Not -…: ssh and rsync would take it for an option.
    return bool(_REMOTE.match(text)) and not text.startswith(("/", ".", "~", "-"))


def source_of(text: str, repo: str, environ: Mapping[str, str]) -> Source:
    """What a `--source` names."""
    if is_remote(text):
        from dsv4_launch.run.weights.rsync import RsyncSource

        return RsyncSource(text, repo, environ)
    from dsv4_launch.run.weights.directory import DirectorySource

    return DirectorySource(Path(text).expanduser(), repo)


def copy_weights(pull: Pull, source: Source, name: str, progress: Progress, watch: Watch | None = None) -> str:
    """Bring the snapshot into the Hub cache and return its folder, whose name is the commit.

    Raises WeightsError: not there, no room, unreachable, wrong hash. What came stays, and is gone on from.
    """
    with layout.sole_writer(pull.cache, pull.repo, progress.say):
        try:
            return _copy(pull, source, name, progress, watch)
        finally:
            progress.close()


def _copy(pull: Pull, source: Source, name: str, progress: Progress, watch: Watch | None) -> str:
    revision = pull.revision or "main"
    commit = revision if layout.COMMIT.fullmatch(revision) else source.refs().get(revision, "")
    links = source.links(commit) if commit else {}
    if not links:
        raise _failed(
            "weights-source-empty",
            f"{name} does not hold {pull.repo} at {commit or revision}.",
            name,
            f"`dsv4 weights ls {pull.repo}` there shows what it has.",
        )
    sizes = source.sizes()
    torn = sorted(path for path, blob in links.items() if blob not in sizes or not can_check(blob))
    if torn:
        shown = ", ".join(torn[:3]) + (f" and {len(torn) - 3} more" if len(torn) > 3 else "")
        raise _failed(
            "weights-source-torn", f"{name} is not complete: {shown}.", name, "Run `dsv4 weights verify` there."
        )
    folder = layout.repo_folder(pull.cache, pull.repo)
    files = [_Wanted(path, blob, sizes[blob]) for path, blob in links.items()]
    wanted = {f.blob: f for f in files if not _here(folder / "blobs" / f.blob, f.size)}
    staging = layout.locks_folder(pull.cache, pull.repo) / "dsv4-staging"
    staging.mkdir(parents=True, exist_ok=True)
    _check_room(pull, staging, list(wanted.values()))
    missing = sum(f.size for f in wanted.values())
    total = size_text(sum(f.size for f in files))
    progress.say(
        f"{pull.repo} at {commit}: {counted(len(files), 'file')}, {total}; {size_text(missing)} to copy from {name}"
    )
    _bring(source, files, wanted, staging, folder / "blobs", progress, watch)
    _link(folder, commit, files, source.tree(commit))
    layout.write_ref(pull.cache, pull.repo, revision, commit)
    return str(folder / "snapshots" / commit)


def _bring(
    source: Source,
    files: Sequence[_Wanted],
    wanted: Mapping[str, _Wanted],
    staging: Path,
    blobs: Path,
    progress: Progress,
    watch: Watch | None,
) -> None:
    """Copy in several streams; each file that is whole is checked and moved to its place."""
    blobs.mkdir(parents=True, exist_ok=True)
    stopping: list[bool] = []
    # Every stream gets every fourth of the files by size, so that they end at about the same time.
    ordered = sorted(wanted, key=lambda blob: -wanted[blob].size)
    shares = [ordered[n::STREAMS] for n in range(STREAMS)]

    def one(share: Sequence[str]) -> None:
        for blob in share:
            if stopping:
                return
            source.copy([blob], staging, lambda: bool(stopping))
            if not matches(staging / blob, blob):
                (staging / blob).unlink(missing_ok=True)
                # Half of it may have been another file's: once more from the start.
                source.copy([blob], staging, lambda: bool(stopping))
                if not matches(staging / blob, blob):
                    (staging / blob).unlink(missing_ok=True)
                    path = wanted[blob].path
                    fix = "Run `dsv4 weights verify --repair` there, or pull from the Hub."
                    said = f"{path} has a wrong hash at its source; it was not kept."
                    raise _failed("weights-wrong-hash", said, path, fix)
            (staging / blob).replace(blobs / blob)

    with ThreadPoolExecutor(STREAMS) as pool:
        jobs = [pool.submit(one, share) for share in shares if share]
        try:
            while True:
                over = all(job.done() for job in jobs)
                _show(files, staging, blobs, progress, watch)
                if over or any(job.done() and job.exception() for job in jobs):
                    break
                _wait(jobs)
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            stopping.append(True)
            raise


def _wait(jobs: Sequence[object]) -> None:
    from concurrent.futures import FIRST_EXCEPTION, wait

    wait(jobs, timeout=0.5, return_when=FIRST_EXCEPTION)  # type: ignore[arg-type]


def _show(files: Sequence[_Wanted], staging: Path, blobs: Path, progress: Progress, watch: Watch | None) -> None:
    seen = []
    for file in files:
        done = file.size if _here(blobs / file.blob, file.size) else _size(staging / file.blob)
        seen.append(FileNow(file.path, min(done, file.size), file.size))
    done, total = sum(f.done for f in seen), sum(f.total for f in seen)
    here = sum(_here(blobs / f.blob, f.size) for f in files)
    progress.show(Now("copying the weights", done, total, "B", f"{here} of {counted(len(files), 'file')}"))
    if watch:
        watch(seen)


def _link(folder: Path, commit: str, files: Sequence[_Wanted], tree: bytes) -> None:
    """The snapshot, as huggingface_hub makes it: relative links to blobs, and its list of the files."""
    for file in files:
        pointer = folder / "snapshots" / commit / file.path
        pointer.parent.mkdir(parents=True, exist_ok=True)
        if not pointer.exists():
            pointer.unlink(missing_ok=True)
            pointer.symlink_to(Path(*[".."] * (2 + file.path.count("/"))) / "blobs" / file.blob)
    if tree:
        path = folder / "trees" / f"{commit}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tree)


def _check_room(pull: Pull, staging: Path, wanted: Sequence[_Wanted]) -> None:
    import os

    from dsv4_launch.run.weights.failures import failure

    about = os.statvfs(staging)
    free = about.f_bavail * about.f_frsize
    needed = sum(f.size - min(f.size, _size(staging / f.blob)) for f in wanted)
    if needed > free:
        said = f"{size_text(needed)} are to come, {size_text(free)} are free at {pull.cache}"
        raise failure("no-room", pull.repo, pull.revision, said=said)


def _here(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _failed(code: str, message: str, where: str, fix: str) -> WeightsError:
    return WeightsError(Problem(code, message, where, fix))
