"""Removing weights from the Hub cache: a model, or one commit of it; blobs that another commit uses stay."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Sequence
from pathlib import Path

from dsv4_launch.errors import Problem, WeightsError
from dsv4_launch.run.weights import cache as layout


def remove(cache: str, repo: str, commits: Sequence[str]) -> int:
    """Remove these commits; returns the bytes that it frees. Raises WeightsError while a pull runs."""
    from huggingface_hub import scan_cache_dir

    locks = layout.locks_folder(cache, repo)
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / layout.LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fix = "Wait for its end, or end it."
            raise WeightsError(Problem("weights-busy", f"A pull of {repo} runs here.", cache, fix)) from None
        strategy = scan_cache_dir(cache).delete_revisions(*commits)
        freed = int(strategy.expected_freed_size)
        strategy.execute()
        _left_over(cache, repo)
    return freed


def _left_over(cache: str, repo: str) -> None:
    """With the last snapshot goes what only a download needed."""
    if not any((layout.repo_folder(cache, repo) / "snapshots").glob("*")):
        shutil.rmtree(layout.repo_folder(cache, repo), ignore_errors=True)
        shutil.rmtree(Path(layout.locks_folder(cache, repo)), ignore_errors=True)
