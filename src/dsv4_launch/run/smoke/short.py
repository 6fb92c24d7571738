"""The smoke test: does the endpoint list its model and answer a chat completion, whole and streamed?"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dsv4_launch.errors import Problem, SmokeError
from dsv4_launch.run.smoke import judge

REQUEST_S = 300.0  # the first request of a server may compile kernels


@dataclass(frozen=True, slots=True)
class Smoke:
    """What a passed smoke test saw."""

    model: str
    text: str
    tokens: int
    completion_s: float
    stream_s: float


def smoke(base_url: str, model: str, api_key: str = "", *, timeout_s: float = REQUEST_S) -> Smoke:
    """Ask the server at ``base_url`` (without ``/v1``) for its models and two completions.

    Raises SmokeError with what was wrong. No proxy is used: the endpoint is this machine's own.
    """
    client = _Client(base_url, api_key, timeout_s)
    _expect(judge.judge_models(client.get("/v1/models"), model))
    started = time.monotonic()
    answer = client.post("/v1/chat/completions", judge.chat(model, stream=False))
    _expect(judge.judge_chat(answer))
    answered = time.monotonic()
    _expect(judge.judge_stream(judge.events_of(client.stream(judge.chat(model, stream=True)))))
    return Smoke(
        model=model,
        text=judge.text_of(answer["choices"][0]["message"]),
        tokens=answer["usage"]["completion_tokens"],
        completion_s=round(answered - started, 3),
        stream_s=round(time.monotonic() - answered, 3),
    )


class _Client:
    """Plain HTTP to one server; every failure is a SmokeError that names the path."""

    def __init__(self, base_url: str, api_key: str, timeout_s: float) -> None:
        self._base_url, self._timeout_s = base_url.rstrip("/"), timeout_s
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Any:
        return self._json(path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._json(path, body)

    def stream(self, body: dict[str, Any]) -> Iterator[str]:
        path = "/v1/chat/completions"
        for line in self._lines(path, body):
            yield line.decode("utf-8", "replace").rstrip("\r\n")

    def _json(self, path: str, body: dict[str, Any] | None) -> Any:
        text = b"".join(self._lines(path, body))
        try:
            return json.loads(text)
        except ValueError:
            raise SmokeError(f"The answer is not JSON: {text[:200]!r}.", where=self._base_url + path) from None

    def _lines(self, path: str, body: dict[str, Any] | None) -> Iterator[bytes]:
        where = self._base_url + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(where, data, self._headers)  # noqa: S310 - the plan's own http URL
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                yield from response
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", "replace").strip()
            fix = "Is the API key the one the server was started with?" if error.code == 401 else ""
            raise SmokeError(
                f"The server answers {error.code}: {said or error.reason}.", where=where, fix=fix
            ) from None
        except TimeoutError:
            raise SmokeError(f"The server did not answer within {self._timeout_s:.0f} s.", where=where) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise SmokeError(f"The server cannot be asked: {reason}.", where=where) from None


def _expect(problem: Problem | None) -> None:
    if problem is not None:
        raise SmokeError(problem)
