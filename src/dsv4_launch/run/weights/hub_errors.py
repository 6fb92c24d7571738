"""What went wrong at the Hub, as a word of ours; and whether waiting helps."""

from __future__ import annotations

import errno
from typing import Final

MAX_WAIT_S: Final = 240
_BACKOFF_MAX_S: Final = 30
# By name: the HTTP library under huggingface_hub is httpx in 1.x and httpx2 in 2.x.
_NETWORK: Final = frozenset(
    {"TransportError", "TimeoutException", "NetworkError", "ConnectError", "ConnectionError", "ProtocolError"}
)


class HubFailure(Exception):
    """A failure that we found ourselves, with its word."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(text)


def kind_of(error: BaseException) -> str:
    """The word: gated, denied, no-repo, no-revision, offline, unreachable, rate-limit, server-error, no-space, …"""
    from huggingface_hub import errors

    if isinstance(error, HubFailure):
        return error.kind
    kinds: list[tuple[type[BaseException], str]] = [
        (errors.GatedRepoError, "gated"),
        (errors.RevisionNotFoundError, "no-revision"),
        (errors.RepositoryNotFoundError, "no-repo"),
        (errors.OfflineModeIsEnabled, "offline"),
    ]
    for link in _chain(error):
        for kind, word in kinds:
            if isinstance(link, kind):
                return word
        if isinstance(link, OSError) and link.errno in (errno.ENOSPC, errno.EDQUOT):
            return "no-space"
        word = _of_status(_status(link))
        if word:
            return word
    if isinstance(error, errors.LocalEntryNotFoundError) or network(error):
        return "unreachable"
    return "failed"


def network(error: BaseException) -> bool:
    """True when the connection failed, not what was asked for."""
    return any(kind.__name__ in _NETWORK for link in _chain(error) for kind in type(link).__mro__)


def cut_short(error: BaseException) -> bool:
    """True for a file that came with another size than announced: the connection ended early."""
    return isinstance(error, OSError) and "Consistency check failed" in str(error)


def wait_s(error: BaseException, attempt: int) -> float | None:
    """How long to wait before the next attempt: as the Hub asks, else longer each time; None when it asks too much."""
    for link in _chain(error):
        headers = getattr(getattr(link, "response", None), "headers", None) or {}
        asked = str(headers.get("Retry-After", "")).strip()
        if asked.isascii() and asked.isdigit():
            return float(asked) if int(asked) <= MAX_WAIT_S else None
    return float(min(2 ** (attempt - 1), _BACKOFF_MAX_S))


def said(error: BaseException) -> str:
    """Its own words, one line."""
    text = str(error).strip().splitlines()
    name = "" if isinstance(error, HubFailure) else f"{type(error).__name__}: "
    return f"{name}{text[0] if text else ''}"[:400]


def _of_status(status: int) -> str:
    if status in (401, 403):
        return "denied"
    if status == 429:
        return "rate-limit"
    return "server-error" if status >= 500 else ""


def _status(error: BaseException) -> int:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else 0


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what caused it."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__
    return found
