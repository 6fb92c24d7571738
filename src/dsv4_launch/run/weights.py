"""The weights: pulled before the launch, outside of its deadline, so that the server finds them complete."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from dsv4_launch.errors import Problem, WeightsError
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.progress import Now, Progress

NO_PROGRESS_S: Final = 300.0
_LOOK_EVERY_S: Final = 1.0
_RESUME = "What is complete is kept: the next `dsv4 serve` goes on from there."

# Word of the child: what it means, what to do. {repo} and {token} are filled in.
_SAYS: Mapping[str, tuple[str, str]] = {
    "gated": (
        "{repo} is gated, and this token may not read it (or there is none).",
        "Accept its terms at https://huggingface.co/{repo}, then `export {token}=…` or `hf auth login`.",
    ),
    "denied": (
        "The Hub refuses {repo} to this token (or there is none).",
        "See https://huggingface.co/settings/tokens, then `export {token}=…` or `hf auth login`.",
    ),
    "no-repo": (
        "The Hub has no model {repo}, or this token may not see it.",
        "Correct model.repo; for a private one `export {token}=…`.",
    ),
    "no-revision": ("{repo} has no such revision.", "Correct model.revision."),
    "offline": (
        "The weights of {repo} are not complete here, and HF_HUB_OFFLINE forbids to fetch them.",
        "Unset HF_HUB_OFFLINE, or bring the Hub cache from another machine.",
    ),
    "unreachable": (
        "The Hub cannot be reached, and the weights of {repo} are not complete here.",
        "Check the network, HTTPS_PROXY and HF_ENDPOINT, or bring the Hub cache from another machine. " + _RESUME,
    ),
    "rate-limit": ("The Hub's request limit is reached.", "`export {token}=…` raises it; or wait. " + _RESUME),
    "no-space": ("The disk is full; the weights of {repo} do not fit.", "Free some space, or point HF_HOME elsewhere."),
    "failed": ("Downloading {repo} failed.", _RESUME),
}


@dataclass(frozen=True, slots=True)
class Pull:
    """What to fetch, and to where."""

    repo: str
    revision: str
    cache: str
    token_env: str
    bytes_known: int = 0


def pull_of(plan: Plan, cache: str) -> Pull | None:
    """What a plan has to fetch; None when its checkpoint is a local folder."""
    model = plan.model
    if model.local:
        return None
    return Pull(model.repo, model.revision, cache, plan.hf_token_env, model.weight_bytes)


def pull_weights(
    pull: Pull, environ: Mapping[str, str], progress: Progress, *, no_progress_s: float = NO_PROGRESS_S
) -> str:
    """Download the snapshot into the Hub cache and return its folder.

    The token is that of the variable which the plan names, else the one of `hf auth login`. Raises WeightsError: gated,
    not found, unreachable, no space, no progress. Ctrl-C ends the download first; what is complete is kept.
    """
    token = environ.get(pull.token_env, "").strip()
    child_env = {**environ, **({"HF_TOKEN": token} if token else {}), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    progress.say(f"The weights of {pull.repo} are not complete here; pulling them into {pull.cache}")
    child = subprocess.Popen(
        [sys.executable, "-m", "dsv4_launch.run.hub_pull", pull.repo, pull.revision, pull.cache],
        env=child_env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        answer = _follow(child, pull, progress, no_progress_s)
    finally:
        _end(child)
        progress.close()
    if "path" in answer:
        progress.say(f"The weights of {pull.repo} are here")
        return str(answer["path"])
    raise failed(pull, str(answer.get("error", "failed")), str(answer.get("said", "")), no_progress_s)


def failed(pull: Pull, kind: str, said: str, no_progress_s: float = NO_PROGRESS_S) -> WeightsError:
    """The error for a word of the child."""
    if kind == "stalled":
        message, fix = f"Downloading {pull.repo} made no progress for {no_progress_s:.0f} s.", _RESUME
    else:
        message, fix = (text.format(repo=pull.repo, token=pull.token_env) for text in _SAYS.get(kind, _SAYS["failed"]))
    at = f" at {pull.revision}" if pull.revision else ""
    return WeightsError(Problem(f"weights-{kind}", message, f"{pull.repo}{at}{f': {said}' if said else ''}", fix))


def missing(pull: Pull) -> WeightsError:
    """The error for weights that are not complete and may not be fetched."""
    return WeightsError(
        f"The weights of {pull.repo} are not complete here, and --no-pull forbids to fetch them.",
        where=pull.cache,
        fix="Leave --no-pull out, or bring the Hub cache from another machine.",
        code="weights-missing",
    )


def _follow(child: subprocess.Popen[str], pull: Pull, progress: Progress, no_progress_s: float) -> dict[str, Any]:
    """The child's last answer; meanwhile the growth of the cache is the progress, and its absence the limit."""
    total = pull.bytes_known
    last, moved_s = -1, time.monotonic()
    with selectors.DefaultSelector() as selector:
        out: IO[str] = child.stdout  # type: ignore[assignment]
        selector.register(out, selectors.EVENT_READ)
        while True:
            if selector.select(_LOOK_EVERY_S):
                text = out.readline()
                answer = _read(text)
                if not text or "path" in answer or "error" in answer:
                    return answer or {"error": "failed", "said": f"the download ended with code {child.wait()}"}
                total = int(answer.get("total") or total)
                moved_s = time.monotonic()
            size = _on_disk(pull)
            if size != last:
                last, moved_s = size, time.monotonic()
            elif time.monotonic() - moved_s > no_progress_s:
                return {"error": "stalled"}
            progress.show(Now(f"pulling {pull.repo}", size, max(total, size) if total else 0, "B"))


def _on_disk(pull: Pull) -> int:
    """Bytes of this model in the cache, what is half there included: blobs grow under their own names."""
    blobs = Path(pull.cache) / f"models--{pull.repo.replace('/', '--')}" / "blobs"
    size = 0
    try:
        with os.scandir(blobs) as entries:
            for entry in entries:
                size += entry.stat(follow_symlinks=False).st_size
    except OSError:
        return size
    return size


def _read(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _end(child: subprocess.Popen[str]) -> None:
    """No download is left behind, nor a thread of it."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if child.stdout:
        child.stdout.close()
