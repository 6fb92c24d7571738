"""The weights: pulled before the launch, outside of its deadline, so that the server finds them complete."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from dsv4_launch.errors import WeightsError
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.progress import Now, Progress, size_text
from dsv4_launch.run.weights import cache as layout
from dsv4_launch.run.weights.cache import Item
from dsv4_launch.run.weights.failures import failure
from dsv4_launch.values import counted

NO_PROGRESS_S: Final = 300.0
_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Pull:
    """What to fetch, and to where. ``again`` are files to fetch although they are there: they are broken."""

    repo: str
    revision: str
    cache: str
    token_env: str
    bytes_known: int = 0
    again: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileNow:
    """How much of a file is here."""

    path: str
    done: int
    total: int


Watch = Callable[[Sequence[FileNow]], None]


def pull_of(plan: Plan, cache: str) -> Pull | None:
    """What a plan has to fetch; None when its checkpoint is a local folder."""
    model = plan.model
    if model.local:
        return None
    return Pull(model.repo, model.revision, cache, plan.hf_token_env, model.weight_bytes)


def pull_weights(
    pull: Pull,
    environ: Mapping[str, str],
    progress: Progress,
    *,
    no_progress_s: float = NO_PROGRESS_S,
    watch: Watch | None = None,
) -> str:
    """Download the snapshot into the Hub cache and return its folder, whose name is the commit.

    The token is that of the variable which the plan names, else the one of `hf auth login`. Raises WeightsError: gated,
    not found, unreachable, no space, wrong hash, no progress. Ctrl-C ends the download first; what is complete is kept.
    """
    with layout.sole_writer(pull.cache, pull.repo, progress.say):
        freed = layout.sweep(pull.cache, pull.repo, layout.STALE_S)
        if freed:
            progress.say(f"Removed {freed / 1e9:.1f} GB that a killed download had left")
        return _pull(pull, environ, progress, no_progress_s, watch)


def _pull(pull: Pull, environ: Mapping[str, str], progress: Progress, no_progress_s: float, watch: Watch | None) -> str:
    token = environ.get(pull.token_env, "").strip()
    child_env = {**environ, **({"HF_TOKEN": token} if token else {}), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    child = subprocess.Popen(
        [sys.executable, "-m", "dsv4_launch.run.weights.hub_pull", pull.repo, pull.revision, pull.cache, *pull.again],
        env=child_env,
        stdin=subprocess.PIPE,  # held open as long as we live: the child ends when it closes
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        answer = _Following(pull, progress, watch).follow(child, no_progress_s)
    finally:
        _end(child)
        progress.close()
        layout.sweep(pull.cache, pull.repo, 0)
    if "path" in answer:
        return str(answer["path"])
    raise failure(
        str(answer.get("error", "failed")),
        pull.repo,
        pull.revision,
        token_env=pull.token_env,
        said=str(answer.get("said", "")),
    )


def missing(pull: Pull) -> WeightsError:
    """The error for weights that are not complete and may not be fetched."""
    return WeightsError(
        f"The weights of {pull.repo} are not complete here, and --no-pull forbids to fetch them.",
        where=pull.cache,
        fix="Leave --no-pull out, or run `dsv4 pull` first (--source user@node:PATH brings them from another node).",
        code="weights-missing",
    )


class _Following:
    """The child's words, and the growth of the cache, which is the progress; its absence is the limit."""

    def __init__(self, pull: Pull, progress: Progress, watch: Watch | None) -> None:
        self._pull, self._progress, self._watch = pull, progress, watch
        self._blobs = layout.repo_folder(pull.cache, pull.repo) / "blobs"
        self._items: tuple[Item, ...] = ()
        self._checked = 0
        self._patience_s = 0.0

    def follow(self, child: subprocess.Popen[str], no_progress_s: float) -> dict[str, Any]:
        """The child's last answer."""
        last, moved_s = (-1, -1), time.monotonic()
        out: IO[str] = child.stdout  # type: ignore[assignment]
        lines = _Lines(out.fileno())
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            while True:
                if selector.select(_LOOK_EVERY_S):
                    for answer in lines.read():
                        if "path" in answer or "error" in answer:
                            return answer
                        self._hear(answer)
                    if lines.over:
                        return {"error": "failed", "said": f"the download ended with code {child.wait()}"}
                now = (self._look(), self._checked)
                if now != last:
                    last, moved_s = now, time.monotonic()
                elif time.monotonic() - moved_s > no_progress_s + self._patience_s:
                    return {"error": "stalled", "said": f"nothing came for {no_progress_s:.0f} s"}

    def _hear(self, answer: Mapping[str, Any]) -> None:
        if "files" in answer:
            self._items = tuple(Item(str(p), int(s), str(b)) for p, s, b in answer["files"])
            size, total = int(answer["missing"]), int(answer["total"])
            commit, repo = answer["commit"], self._pull.repo
            if size:
                files = f"{counted(len(self._items), 'file')}, {size_text(total)}"
                self._progress.say(f"{repo} at {commit}: {files}; {size_text(size)} to fetch")
        elif "checked" in answer:
            self._checked += int(answer["checked"])
        elif "waiting_s" in answer:
            self._patience_s = float(answer["waiting_s"])
            self._progress.say(f"The Hub was not able to answer ({answer['why']}); again in {self._patience_s:.0f} s")
        elif "say" in answer:
            self._progress.say(str(answer["say"]))

    def _look(self) -> int:
        """Tell how far each file is; returns the bytes that are here."""
        sizes = _sizes(self._blobs)
        if not self._items:
            self._progress.show(Now(f"asking for {self._pull.repo}"))
            return sum(sizes.values())
        files = []
        for item in self._items:
            total = item.size or 0
            # A file to fetch again has its old blob until the new one is whole.
            half = sizes.get(f"{item.blob}.incomplete")
            files.append(FileNow(item.path, min(half if half is not None else sizes.get(item.blob, 0), total), total))
        done, total = sum(file.done for file in files), sum(file.total for file in files)
        here = sum(file.done == file.total for file in files)
        title = f"pulling {self._pull.repo}" if done < total else f"checking {self._pull.repo}"
        self._progress.show(Now(title, done, total, "B", f"{here} of {counted(len(files), 'file')}"))
        if self._watch:
            self._watch(files)
        return done


class _Lines:
    """JSON lines of a pipe, as they come; select() knows nothing of what a text stream has read ahead."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._rest = b""
        self.over = False

    def read(self) -> list[dict[str, Any]]:
        """Whole lines that are JSON tables; others are left out."""
        data = os.read(self._number, 1 << 16)
        self.over = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            if isinstance(answer, dict):
                found.append(answer)
        return found


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each blob; of a half one under the blob's name and ``.incomplete``, whatever its attempt is called."""
    found: dict[str, int] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.endswith(".incomplete"):
                    name = f"{name.partition('.')[0]}.incomplete"
                found[name] = max(found.get(name, 0), entry.stat().st_size)
    except OSError:  # not there yet, or one file became whole meanwhile: the next look sees it
        return found
    return found


def _end(child: subprocess.Popen[str]) -> None:
    """No download is left behind, nor a thread of it."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    for stream in (child.stdin, child.stdout):
        if stream:
            stream.close()
