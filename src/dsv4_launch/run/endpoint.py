"""Asking an endpoint whether it serves: `/health`, then `/v1/models` for the name that clients will use."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

Verdict = Literal["ready", "silent", "unhealthy", "other-model", "key-refused"]

ANSWER_S = 3.0
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered. ``key-refused``: it is up, but not with the key that we have (or have not)."""

    verdict: Verdict
    detail: str = ""
    models: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        """True when the server serves; that it wants a key which we do not have does not change that."""
        return self.verdict in ("ready", "key-refused")


def ask(base_url: str, names: Sequence[str], api_key: str = "", timeout_s: float = ANSWER_S) -> Answer:
    """Ask once. ``names`` are the model names that must be listed (none: any will do). Never raises for the network."""
    try:
        status, _ = _get(base_url, "/health", "", timeout_s)
        if status != 200:
            return Answer("unhealthy", f"/health answers {status}")
        status, body = _get(base_url, "/v1/models", api_key, timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer("silent", f"{type(error).__name__}: {error}"[:200])
    if status in (401, 403):
        return Answer("key-refused", f"/v1/models answers {status} to {'this' if api_key else 'no'} API key")
    if status != 200:
        return Answer("unhealthy", f"/v1/models answers {status}")
    models = _models(body)
    if names and not set(names) <= set(models):
        return Answer("other-model", f"it serves {', '.join(models) or 'nothing'}, not {', '.join(names)}", models)
    return Answer("ready", "", models)


def _get(base_url: str, path: str, api_key: str, timeout_s: float) -> tuple[int, bytes]:
    """One GET, never through a proxy: the endpoint is this machine's, or one that its own address names."""
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(_MAX_BYTES)
    finally:
        connection.close()


def _models(body: bytes) -> tuple[str, ...]:
    try:
        data: Any = json.loads(body)["data"]
        return tuple(str(item["id"]) for item in data)
    except (ValueError, KeyError, TypeError):
        return ()
