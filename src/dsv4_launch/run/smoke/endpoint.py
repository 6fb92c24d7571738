"""The endpoint of a smoke test, asked through the official ``openai`` client; its metrics and routes by plain HTTP."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dsv4_launch.errors import SmokeError, ToolError
from dsv4_launch.run.smoke.answer import Answer, streamed, whole

# What the client's `create` takes itself; the rest, vLLM's own, goes by `extra_body`.
_STANDARD = {
    "model",
    "messages",
    "max_tokens",
    "temperature",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "stop",
    "reasoning_effort",
}
_SAMPLE = re.compile(r"^(vllm:\w{1,100})(?:\{([^}\n]{0,2000})\})? ([0-9.eE+-]{1,40})$", re.M)
_MAX_BYTES = 16_000_000
_LOOK_S = 20.0
_LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class Metrics:
    """The counters and gauges that a smoke test reads, each summed over engines; None where the server has none."""

    running: float | None = None
    aborted: float | None = None
    cache_queries: float | None = None
    cache_hits: float | None = None


class Endpoint(Protocol):
    """What the checks need of a server; tests hand in their own."""

    def chat(self, body: Mapping[str, Any]) -> Answer:
        """One completion; never raises for what the server does."""

    def stream(self, body: Mapping[str, Any]) -> Answer:
        """One completion, streamed."""

    def abandon(self, body: Mapping[str, Any], after: int) -> Answer:
        """Stream a completion and hang up after some pieces."""

    def metrics(self) -> Metrics | None:
        """What /metrics tells now; None when it cannot be read."""

    def document(self, path: str) -> Any:
        """The JSON that a GET answers; None when it cannot be had."""

    def knock(self, path: str) -> int:
        """The status that a POST of an empty object without a key is answered with (0: none)."""

    def tokens(self, model: str, text: str) -> int | None:
        """How many tokens a text has, from /tokenize."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


class OpenAiEndpoint:
    """A real server. No proxy is used, nothing is tried twice, and the key never stands in what is returned."""

    def __init__(self, base_url: str, api_key: str = "", *, timeout_s: float = 300.0) -> None:
        """``base_url`` is without ``/v1``. Raises ToolError when the ``openai`` package is not installed."""
        try:
            import openai
        except ImportError:
            raise ToolError(
                "The smoke test needs the official `openai` client, which is not installed.",
                fix="`pip install 'dsv4-launch[smoke]'`, or `uv tool install 'dsv4-launch[smoke]'`.",
                code="no-openai",
            ) from None
        self._base_url, self._key = base_url.rstrip("/"), api_key
        self._error = openai.APIError
        self._client: Any = openai.OpenAI(
            base_url=f"{self._base_url}/v1",
            api_key=api_key or "none",
            timeout=timeout_s,
            max_retries=0,
            organization="",
            project="",
            # A proxy of the environment would not reach a server that listens on loopback.
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def models(self) -> list[dict[str, Any]]:
        """What the server lists. Raises SmokeError when it cannot be asked, or refuses the key."""
        where = f"{self._base_url}/v1/models"
        try:
            return [model.model_dump() for model in self._client.models.list().data or ()]
        except Exception as error:  # a hostile answer makes the client fail in its own ways
            said = self._failed(error)
            if said.status in (401, 403):
                fix = "Export the server's API key: under the config's server.api_key_env, or name it with --key-env."
                message = f"The server refuses {'this' if self._key else 'to answer without an'} API key."
                raise SmokeError(message, where=where, fix=fix, code="key-refused") from None
            raise SmokeError(f"The server cannot be asked: {said.error}", where=where) from None

    def chat(self, body: Mapping[str, Any]) -> Answer:
        return self._guarded(lambda: whole(self._create(body).model_dump()))

    def stream(self, body: Mapping[str, Any]) -> Answer:
        def read() -> Answer:
            with self._create(body, stream=True, stream_options={"include_usage": True}) as stream:
                return streamed(chunk.model_dump() for chunk in stream)

        return self._guarded(read)

    def abandon(self, body: Mapping[str, Any], after: int) -> Answer:
        def read() -> Answer:
            chunks: list[Any] = []
            with self._create(body, stream=True) as stream:
                for chunk in stream:
                    chunks.append(chunk.model_dump())
                    if len(chunks) > after:
                        break
            return streamed(chunks)

        return self._guarded(read)

    def metrics(self) -> Metrics | None:
        body = self._get("/metrics")
        return None if body is None else read_metrics(body.decode("utf-8", "replace"))

    def document(self, path: str) -> Any:
        body = self._get(path)
        try:
            return None if body is None else json.loads(body)
        except ValueError:
            return None

    def knock(self, path: str) -> int:
        try:
            with self._open(path, b"{}", with_key=False) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, http.client.HTTPException, ValueError):
            return 0

    def tokens(self, model: str, text: str) -> int | None:
        try:
            with self._open("/tokenize", json.dumps({"model": model, "prompt": text}).encode()) as response:
                return int(json.loads(response.read(_MAX_BYTES))["count"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def _create(self, body: Mapping[str, Any], **more: Any) -> Any:
        own = {name: value for name, value in body.items() if name in _STANDARD}
        extra = {name: value for name, value in body.items() if name not in _STANDARD}
        return self._client.chat.completions.create(**own, **more, extra_body=extra)

    def _guarded(self, read: Callable[[], Answer]) -> Answer:
        try:
            return read()
        except Exception as error:  # a hostile answer makes the client fail in its own ways
            return self._failed(error)

    def _failed(self, error: Exception) -> Answer:
        status = int(getattr(error, "status_code", 0) or 0)
        said = str(error) if isinstance(error, self._error) else f"{type(error).__name__}: {error}"
        if status == 0 and error.__cause__ is not None:
            said = f"{said} ({error.__cause__})"
        if self._key:
            said = said.replace(self._key, "***")
        return Answer(status=status, error=said[:_LONGEST_ERROR] or type(error).__name__)

    def _get(self, path: str) -> bytes | None:
        try:
            with self._open(path, None) as response:
                body: bytes = response.read(_MAX_BYTES)
                return body
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def _open(self, path: str, data: bytes | None, *, with_key: bool = True) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._key and with_key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._base_url + path, data, headers)  # noqa: S310 - checked to be http
        return self._opener.open(request, timeout=_LOOK_S)


def read_metrics(text: str) -> Metrics:
    """The samples of a /metrics page that are of use here."""
    found: dict[str, float] = {}
    for match in _SAMPLE.finditer(text):
        name, labels, value = match.group(1), match.group(2) or "", match.group(3)
        if name.startswith("vllm:request_success"):
            name = "aborted" if name == "vllm:request_success_total" and 'finished_reason="abort"' in labels else ""
        try:
            found[name] = found.get(name, 0.0) + float(value)
        except ValueError:
            continue
    return Metrics(
        running=found.get("vllm:num_requests_running"),
        aborted=found.get("aborted"),
        cache_queries=found.get("vllm:prefix_cache_queries_total"),
        cache_hits=found.get("vllm:prefix_cache_hits_total"),
    )
