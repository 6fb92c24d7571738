"""What a smoke test asks of an endpoint, and whether the answers are right: pure, on plain JSON data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dsv4_launch.errors import Problem

PROMPT = "Say hello in one short sentence."
MAX_TOKENS = 24
_SHOWN = 200


def chat(model: str, *, stream: bool) -> dict[str, Any]:
    """The body of one chat completion. Temperature 0: two smoke tests of one server ask the same."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
    }
    return {**body, "stream": True, "stream_options": {"include_usage": True}} if stream else body


def judge_models(answer: Any, wanted: str) -> Problem | None:
    """The model must be listed under the name that clients ask for."""
    try:
        listed = [str(model["id"]) for model in answer["data"]]
    except (TypeError, KeyError):
        return _wrong("/v1/models", f"no list of models: {_short(answer)}")
    if wanted not in listed:
        return _wrong("/v1/models", f"{wanted} is not served; the server has {', '.join(listed) or 'no model'}")
    return None


def judge_chat(answer: Any) -> Problem | None:
    """One choice, a reason why it ended, and at least one token that was generated."""
    where = "/v1/chat/completions"
    try:
        choice = answer["choices"][0]
        tokens = int(answer["usage"]["completion_tokens"])
        text_of(choice["message"])
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        return _wrong(where, f"no completion: {_short(answer)}")
    if tokens < 1:
        return _wrong(where, "an empty completion: no token was generated")
    if not choice.get("finish_reason"):
        return _wrong(where, f"a completion that does not say why it ended: {_short(choice)}")
    return None


def judge_stream(events: Iterable[str]) -> Problem | None:
    """Server-sent events: JSON pieces with text or an end, at least one token, and ``[DONE]`` at last."""
    where = "/v1/chat/completions (stream)"
    pieces, tokens, reason, done = 0, 0, "", False
    for event in events:
        if event == "[DONE]":
            done = True
            continue
        try:
            data = json.loads(event)
            if "error" in data:
                return _wrong(where, f"an error in the stream: {_short(data['error'])}")
            tokens = int((data.get("usage") or {}).get("completion_tokens", tokens))
            for choice in data["choices"]:
                pieces += bool(text_of(choice["delta"]))
                reason = choice.get("finish_reason") or reason
        except (TypeError, KeyError, ValueError, AttributeError):
            return _wrong(where, f"an event that is no piece of a completion: {_short(event)}")
    if not done:
        return _wrong(where, f"a stream that breaks off after {pieces} pieces, without [DONE]")
    if not reason:
        return _wrong(where, "a stream that does not say why it ended")
    if not (tokens or pieces):
        return _wrong(where, "an empty stream: no token was generated")
    return None


def events_of(lines: Iterable[str]) -> Iterable[str]:
    """The data of each server-sent event in the lines of a response."""
    for line in lines:
        if line.startswith("data:"):
            yield line[5:].strip()


def text_of(message: Mapping[str, Any]) -> str:
    """What the model said: reasoning too, by the name of every vLLM release."""
    parts = (message.get("reasoning"), message.get("reasoning_content"), message.get("content"))
    return " ".join(part.strip() for part in parts if isinstance(part, str) and part.strip())


def _wrong(where: str, what: str) -> Problem:
    return Problem("smoke", f"The server answers, wrongly: {what}.", where, "Its log says more: `dsv4 logs`.")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
