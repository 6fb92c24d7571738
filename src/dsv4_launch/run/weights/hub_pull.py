"""A child process that downloads one snapshot from the Hub: it can be ended, whatever its threads wait for.

Run as ``python -m dsv4_launch.run.weights.hub_pull REPO REVISION CACHE [PATH…]``; what PATH names is fetched again
though it is there. A token comes in the environment (HF_TOKEN), never in argv. The child ends with its parent, whose
end closes stdin. It prints JSON lines: ``{"commit", "total", "missing", "files": [[path, size, blob], …]}``, while it
goes on ``{"checked": bytes}``, ``{"waiting_s", "why"}`` and ``{"say"}``, and at last ``{"path"}`` or
``{"error", "said"}``.

huggingface_hub downloads, file by file, so that one file's failure costs no other file's progress. It compares sizes
only; the hashes are compared here, while the next files come in.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final, TypeVar

from dsv4_launch.run.progress import size_text
from dsv4_launch.run.weights import cache as layout
from dsv4_launch.run.weights.cache import Item
from dsv4_launch.run.weights.hash import can_check, matches
from dsv4_launch.run.weights.hub_errors import HubFailure, cut_short, kind_of, network, said, wait_s

WORKERS: Final = 8
HASHERS: Final = 2
# A pause doubles up to half a minute: 7 s of patience with the API, a minute and a half with each file.
API_TRIES: Final = 4
FILE_TRIES: Final = 8
API_S: Final = 30.0

T = TypeVar("T")

_print_lock = threading.Lock()


def main(arguments: list[str]) -> int:
    """Download; returns 0, or 1 after an error line."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    repo, revision, cache, *again = arguments
    try:
        path, commit = _pull(repo, revision, cache, frozenset(again))
    except Exception as error:  # whatever it is, the parent tells it
        _tell({"error": kind_of(error), "said": said(error)})
        sys.stdout.flush()
        os._exit(1)  # threads that still download must not hold it up
    _tell({"path": path, "commit": commit})
    return 0


def _pull(repo: str, revision: str, cache: str, again: frozenset[str]) -> tuple[str, str]:
    from huggingface_hub import snapshot_download

    try:
        commit, items = _patiently(lambda: _ask(repo, revision))
    except Exception as error:
        here = layout.commit_of(cache, repo, revision)
        if again or kind_of(error) not in ("offline", "unreachable") or layout.missing_of(cache, repo, here) != ():
            raise
        _tell({"say": f"The Hub was not asked ({kind_of(error)}); {here} is complete here"})
        return str(layout.repo_folder(cache, repo) / "snapshots" / here), here
    folder = layout.repo_folder(cache, repo)
    snapshot, blobs = folder / "snapshots" / commit, folder / "blobs"
    wanted = [i for i in items if i.path in again or not (snapshot / i.path).exists()]
    absent = sum(i.size or 0 for i in wanted if i.path in again or not (blobs / i.blob).exists())
    files = [[i.path, i.size or 0, i.blob] for i in items]
    _tell({"commit": commit, "total": sum(i.size or 0 for i in items), "missing": absent, "files": files})
    _check_room(cache, absent)
    _fetch_all(repo, commit, cache, wanted, again)
    # All files are here: this only writes the list of them, by which anyone can tell that the snapshot is complete.
    path: Any = _patiently(lambda: snapshot_download(repo, revision=commit, cache_dir=cache))
    layout.write_ref(cache, repo, revision, commit)
    return str(path), commit


def _ask(repo: str, revision: str) -> tuple[str, list[Item]]:
    """The commit, and every file of it with size and hash."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(repo, revision=revision or None, files_metadata=True, timeout=API_S)
    commit = info.sha or ""
    if not layout.COMMIT.fullmatch(commit):
        raise HubFailure("failed", "the answer holds no commit; is HF_ENDPOINT a Hub?")
    items = []
    for file in info.siblings or ():
        blob = str(file.lfs.sha256) if file.lfs else str(file.blob_id or "")
        items.append(Item(file.rfilename, file.lfs.size if file.lfs else file.size, blob))
    return commit, items


def _check_room(cache: str, needed: int) -> None:
    folder = Path(cache)
    while not folder.exists():
        folder = folder.parent
    about = os.statvfs(folder)
    free = about.f_bavail * about.f_frsize
    if needed > free:
        raise HubFailure("no-room", f"{size_text(needed)} are to come, {size_text(free)} are free at {folder}")


def _fetch_all(repo: str, commit: str, cache: str, wanted: list[Item], again: frozenset[str]) -> None:
    """Every file, several at a time, each checked; the first failure that patience does not mend ends it all."""
    # No `with`: after a failure nobody waits for the others, the process ends.
    fetchers, hashers = ThreadPoolExecutor(WORKERS), ThreadPoolExecutor(HASHERS)

    def fetch(item: Item, force: bool) -> tuple[Item, Future[bool]]:
        path = Path(_patiently(lambda: _download(repo, commit, cache, item.path, force), FILE_TRIES, network_too=True))
        return item, hashers.submit(_intact, path, item)

    # Large files first: the end is not one shard that came last.
    jobs = [fetchers.submit(fetch, i, i.path in again) for i in sorted(wanted, key=lambda i: -(i.size or 0))]
    for job in as_completed(jobs):
        item, verdict = job.result()
        if not verdict.result():
            _tell({"say": f"{item.path} came with a wrong hash; fetching it once more"})
            _, verdict = fetch(item, True)
            if not verdict.result():
                _discard(repo, commit, cache, item)
                raise HubFailure("wrong-hash", f"{item.path} does not hash to {item.blob}")
    fetchers.shutdown()
    hashers.shutdown()


def _download(repo: str, commit: str, cache: str, name: str, force: bool) -> str:
    from huggingface_hub import hf_hub_download

    found: Any = hf_hub_download(repo, name, revision=commit, cache_dir=cache, force_download=force)
    return str(found)


def _intact(path: Path, item: Item) -> bool:
    # What no list names a hash for has only its size, which huggingface_hub has compared.
    return not can_check(item.blob) or matches(path, item.blob, lambda count: _tell({"checked": count}))


def _discard(repo: str, commit: str, cache: str, item: Item) -> None:
    folder = layout.repo_folder(cache, repo)
    (folder / "snapshots" / commit / item.path).unlink(missing_ok=True)
    (folder / "blobs" / item.blob).unlink(missing_ok=True)


def _patiently(attempt: Callable[[], T], tries: int = API_TRIES, *, network_too: bool = False) -> T:
    """Try, and wait as the Hub asks where waiting helps: limits and its own errors, of files the network too."""
    for number in range(1, tries + 1):
        try:
            return attempt()
        except Exception as error:
            kind, pause_s = kind_of(error), wait_s(error, number)
            helps = kind in ("rate-limit", "server-error") or (network_too and (network(error) or cut_short(error)))
            if number == tries or pause_s is None or not helps:
                raise
            _tell({"waiting_s": pause_s, "why": kind})
            time.sleep(pause_s)
    raise AssertionError


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _tell(data: dict[str, Any]) -> None:
    with _print_lock:
        sys.stdout.write(json.dumps(data) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
