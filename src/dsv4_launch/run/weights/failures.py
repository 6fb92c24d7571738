"""What is said when weights cannot be had: what, where, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dsv4_launch.errors import Problem, WeightsError

RESUME: Final = "What is complete is kept: the next `dsv4 pull` or `dsv4 serve` goes on from there."
_ELSEWHERE: Final = "or bring them from another node: `dsv4 pull --source user@node:PATH`."

# A mirror (HF_ENDPOINT) passes the token on, but terms are accepted at the Hub itself.
# Word of the failure: what it means, what to do. {repo}, {token} and {revision} are filled in.
SAYS: Final[Mapping[str, tuple[str, str]]] = {
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
    "no-revision": ("{repo} has no revision {revision}.", "Correct model.revision."),
    "offline": (
        "The weights of {repo} are not complete here, and HF_HUB_OFFLINE forbids to fetch them.",
        "Unset HF_HUB_OFFLINE, " + _ELSEWHERE,
    ),
    "unreachable": (
        "The Hub cannot be reached, and the weights of {repo} are not complete here.",
        "Check the network, HTTPS_PROXY and HF_ENDPOINT, " + _ELSEWHERE + " " + RESUME,
    ),
    "rate-limit": ("The Hub's request limit is reached.", "`export {token}=…` raises it; or wait. " + RESUME),
    "server-error": ("The Hub fails: it answers with an error of its own.", "Try again later. " + RESUME),
    "no-room": (
        "The disk has no room for the weights of {repo}; nothing was fetched.",
        "Free some space, or point HF_HOME to a larger disk.",
    ),
    "no-space": (
        "The disk became full; the weights of {repo} do not fit.",
        "Free some space, or point HF_HOME elsewhere. " + RESUME,
    ),
    "wrong-hash": (
        "A file of {repo} came twice with a wrong hash; it was not kept.",
        "The mirror or proxy is broken: check HF_ENDPOINT and HTTPS_PROXY. " + RESUME,
    ),
    "stalled": ("Downloading {repo} made no progress.", "Check the network. " + RESUME),
    "failed": ("Downloading {repo} failed.", RESUME),
}


def failure(kind: str, repo: str, revision: str = "", *, token_env: str = "", said: str = "") -> WeightsError:
    """The error for a word of the download; its code is ``weights-`` and the word."""
    known = {
        "repo": repo,
        "token": token_env or "HF_TOKEN",
        "revision": revision or "main",
    }
    kind = kind if kind in SAYS else "failed"
    message, fix = (text.format(**known) for text in SAYS[kind])
    where = f"{repo}{f' at {revision}' if revision else ''}{f': {said}' if said else ''}"
    return WeightsError(Problem(f"weights-{kind}", message, where, fix))
