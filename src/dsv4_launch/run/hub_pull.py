"""A child process that downloads one snapshot from the Hub: it can be ended, whatever its threads wait for.

Run as ``python -m dsv4_launch.run.hub_pull REPO REVISION CACHE``. A token comes in the environment (HF_TOKEN), never in
argv. Prints JSON lines: ``{"total": bytes, "files": n}``, then ``{"path": …}`` or ``{"error": kind, "said": …}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

# What no vLLM reads: other formats of the same weights.
IGNORED = ["*.gguf", "*.pth", "*.onnx", "original/*"]


def main(arguments: list[str]) -> int:
    """Download; returns 0, or 1 after an error line."""
    repo, revision, cache = arguments
    try:
        path = _pull(repo, revision or None, cache)
    except Exception as error:  # whatever it is, the parent tells it
        _tell({"error": kind_of(error), "said": _said(error)})
        return 1
    _tell({"path": path})
    return 0


def _pull(repo: str, revision: str | None, cache: str) -> str:
    from fnmatch import fnmatch

    from huggingface_hub import HfApi, snapshot_download

    info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    wanted = [f for f in info.siblings or () if not any(fnmatch(f.rfilename, pattern) for pattern in IGNORED)]
    _tell({"total": sum(f.size or 0 for f in wanted), "files": len(wanted), "revision": info.sha})
    path: Any = snapshot_download(repo, revision=revision, cache_dir=cache, ignore_patterns=IGNORED)
    return str(path)


def kind_of(error: BaseException) -> str:
    """What went wrong, as a word of ours."""
    from huggingface_hub import errors

    kinds: list[tuple[type[BaseException], str]] = [
        (errors.GatedRepoError, "gated"),
        (errors.RevisionNotFoundError, "no-revision"),
        (errors.RepositoryNotFoundError, "no-repo"),
        (errors.OfflineModeIsEnabled, "offline"),
        (errors.LocalEntryNotFoundError, "unreachable"),
    ]
    for kind, word in kinds:
        if isinstance(error, kind):
            return word
    if isinstance(error, OSError) and error.errno in (28, 122):  # ENOSPC, EDQUOT
        return "no-space"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return "denied"
    if status == 429:
        return "rate-limit"
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {
        "ConnectError",
        "ConnectTimeout",
        "ReadTimeout",
        "TransportError",
        "ConnectionError",
        "TimeoutException",
    }:
        return "unreachable"
    return "failed"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:400]


def _tell(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
