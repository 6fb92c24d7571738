"""Whether the weights that are here are the ones that were published: each file's size and hash."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dsv4_launch.run.progress import Now, Progress
from dsv4_launch.run.weights import cache as layout
from dsv4_launch.run.weights.cache import Cached, Item
from dsv4_launch.run.weights.hash import blob_of, can_check, matches
from dsv4_launch.values import counted

STREAMS: Final = 4
State = Literal["intact", "missing", "wrong-size", "wrong-hash", "unreadable", "not-checked"]


@dataclass(frozen=True, slots=True)
class Verified:
    """One file, and what was found. "not-checked": nothing here says what it should hash to."""

    path: str
    state: State
    size: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A snapshot, file by file."""

    repo: str
    commit: str
    files: tuple[Verified, ...]

    @property
    def broken(self) -> tuple[Verified, ...]:
        """What has to be fetched again."""
        return tuple(f for f in self.files if f.state not in ("intact", "not-checked"))

    @property
    def unknown(self) -> tuple[Verified, ...]:
        """What could not be judged."""
        return tuple(f for f in self.files if f.state == "not-checked")


def verify(cache: str, snapshot: Cached, progress: Progress, hub: Sequence[Item] = ()) -> Verdict:
    """Compare every file of a snapshot with the hash that its blob is named after, and what there should be with the
    list of the commit (huggingface_hub's own here, or ``hub``: what the Hub said). Reads everything; writes nothing.
    """
    folder = Path(snapshot.path)
    known = {item.path: item for item in hub or layout.listed(cache, snapshot.repo, snapshot.commit) or ()}
    here = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    names = sorted({*known, *here, *(snapshot.missing or ())})
    total, done, lock = snapshot.size_bytes, [0], threading.Lock()

    def moved(count: int) -> None:
        with lock:
            done[0] += count

    with ThreadPoolExecutor(STREAMS) as pool:
        jobs = [pool.submit(_look, folder, name, known, moved) for name in names]
        try:
            for number, job in enumerate(jobs):
                while not _waited(job):
                    detail = f"{number} of {counted(len(jobs), 'file')}"
                    progress.show(Now(f"checking {snapshot.repo}", min(done[0], total), total, "B", detail))
            found = tuple(job.result() for job in jobs)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            progress.close()
    return Verdict(snapshot.repo, snapshot.commit, found)


def _look(folder: Path, name: str, known: Mapping[str, Item], moved: Callable[[int], None]) -> Verified:
    path, item = folder / name, known.get(name)
    try:
        size = path.stat().st_size
    except OSError:
        return Verified(name, "missing", 0)
    if item and item.size is not None and size != item.size:
        return Verified(name, "wrong-size", size)
    # The list's hash first: a link may have been bent to another blob, whose name its content would fit.
    blob = next((b for b in (item.blob if item else "", blob_of(path)) if can_check(b)), "")
    if not blob:
        return Verified(name, "not-checked", size)
    try:
        return Verified(name, "intact" if matches(path, blob, moved) else "wrong-hash", size)
    except OSError:
        return Verified(name, "unreadable", size)


def _waited(job: Future[Verified]) -> bool:
    return bool(wait([job], timeout=0.5).done)
