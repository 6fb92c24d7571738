"""What a server answered to one request, whole or streamed, as one plain value: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call as it arrived; ``arguments`` is the text that ought to be JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``error`` says why there is none, ``status`` the HTTP status then (0: no HTTP answer at all)."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    pieces: int = 0
    status: int = 200
    error: str = ""

    @property
    def text(self) -> str:
        """All that was said, thoughts first."""
        return f"{self.reasoning}{self.content}"


def whole(data: Any) -> Answer:
    """The answer in the JSON of a completion; one with ``error`` where it is none."""
    try:
        choice = data["choices"][0]
        message = choice["message"]
        calls = tuple(_call(item) for item in message.get("tool_calls") or ())
        return Answer(
            content=_text(message.get("content")),
            reasoning=_reasoning(message),
            calls=calls,
            finish=_text(choice.get("finish_reason")),
            prompt_tokens=_count(data, "prompt_tokens"),
            completion_tokens=_count(data, "completion_tokens"),
        )
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        return Answer(error=f"what came is no completion: {str(data)[:200]}")


def streamed(chunks: Iterable[Any]) -> Answer:
    """The answer that the pieces of a stream make; tool calls are joined by their index."""
    content, reasoning, finish = [], [], ""
    calls: dict[int, dict[str, str]] = {}
    prompt_tokens = completion_tokens = pieces = 0
    for chunk in chunks:
        try:
            prompt_tokens = _count(chunk, "prompt_tokens") or prompt_tokens
            completion_tokens = _count(chunk, "completion_tokens") or completion_tokens
            for choice in chunk["choices"]:
                delta = choice.get("delta") or {}
                finish = _text(choice.get("finish_reason")) or finish
                said = _text(delta.get("content")), _reasoning(delta)
                content.append(said[0])
                reasoning.append(said[1])
                pieces += bool(said[0] or said[1])
                for item in delta.get("tool_calls") or ():
                    _join(calls.setdefault(int(item.get("index") or 0), {}), item)
        except (TypeError, KeyError, AttributeError, ValueError):
            return Answer(error=f"what came is no piece of a completion: {str(chunk)[:200]}")
    return Answer(
        content="".join(content),
        reasoning="".join(reasoning),
        calls=tuple(
            Call(call.get("id", ""), call.get("name", ""), call.get("arguments", ""))
            for _, call in sorted(calls.items())
        ),
        finish=finish,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        pieces=pieces,
    )


def _join(call: dict[str, str], item: Mapping[str, Any]) -> None:
    """The id and the name come once, the arguments in pieces."""
    function = item.get("function") or {}
    call["id"] = call.get("id") or _text(item.get("id"))
    call["name"] = call.get("name") or _text(function.get("name"))
    call["arguments"] = call.get("arguments", "") + _text(function.get("arguments"))


def _call(item: Mapping[str, Any]) -> Call:
    function = item["function"]
    return Call(_text(item.get("id")), _text(function.get("name")), _text(function.get("arguments")))


def _reasoning(message: Mapping[str, Any]) -> str:
    """By the name of every vLLM release."""
    return _text(message.get("reasoning")) or _text(message.get("reasoning_content"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(data: Mapping[str, Any], name: str) -> int:
    usage = data.get("usage")
    return int(usage.get(name) or 0) if isinstance(usage, Mapping) else 0
