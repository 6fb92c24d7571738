"""Asking an endpoint whether it serves: `/health`, `/v1/models` for the name that clients will use, then one token."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

Verdict = Literal["ready", "silent", "unhealthy", "other-model", "key-refused"]

ANSWER_S = 3.0
COMPLETION_S = 600.0
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


@dataclass(frozen=True, slots=True)
class Completion:
    """What came of asking for one token. ``refused``: the server says no for good; ``failed``: it may do better."""

    verdict: Literal["token", "refused", "failed", "silent", "key-refused"]
    detail: str = ""


def complete(base_url: str, model: str, api_key: str = "", timeout_s: float = COMPLETION_S) -> Completion:
    """Ask for a completion of one token: the first of a server may wait for kernels. Never raises for the network."""
    body = json.dumps({"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}).encode()
    try:
        status, said = _call(base_url, "POST", "/v1/completions", api_key, timeout_s, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Completion("silent", f"{type(error).__name__}: {error}"[:200])
    if status in (401, 403):
        return Completion("key-refused", f"/v1/completions answers {status}")
    if status != 200:
        text = " ".join(said[:300].decode("utf-8", "replace").split())
        verdict: Literal["refused", "failed"] = "refused" if 400 <= status < 500 and status != 429 else "failed"
        return Completion(verdict, f"/v1/completions answers {status}: {text}")
    try:
        answer: Any = json.loads(said)
        tokens = answer["usage"]["completion_tokens"]
        if answer["choices"] and isinstance(tokens, int) and tokens >= 1:
            return Completion("token")
    except (ValueError, KeyError, TypeError):
        pass
    return Completion("refused", "/v1/completions answers 200 without a token")


def _get(base_url: str, path: str, api_key: str, timeout_s: float) -> tuple[int, bytes]:
    return _call(base_url, "GET", path, api_key, timeout_s)


def _call(
    base_url: str, method: str, path: str, api_key: str, timeout_s: float, body: bytes | None = None
) -> tuple[int, bytes]:
    """One request, never through a proxy: the endpoint is this machine's, or one that its own address names."""
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, body, headers)
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
