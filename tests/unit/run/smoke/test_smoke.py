"""What the smoke test takes for a right answer, and what not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dsv4_launch.run.smoke.judge import chat, events_of, judge_chat, judge_models, judge_stream, text_of

GOOD: dict[str, Any] = {
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"completion_tokens": 1},
}


def piece(text: str | None = None, reason: str | None = None) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": reason}]})


def test_the_body_streams_only_when_asked() -> None:
    assert chat("m", stream=False) == {**chat("m", stream=False), "model": "m"}
    assert "stream" not in chat("m", stream=False)
    assert chat("m", stream=True)["stream_options"] == {"include_usage": True}


def test_models() -> None:
    assert judge_models({"data": [{"id": "a"}, {"id": "b"}]}, "b") is None
    for answer in ({"data": []}, {"data": [{"id": "a"}]}, {}, None, [], {"data": None}):
        assert judge_models(answer, "b") is not None


def test_a_completion() -> None:
    assert judge_chat(GOOD) is None
    only_reasoning = {"role": "assistant", "content": None, "reasoning": "hm"}
    assert judge_chat({**GOOD, "choices": [{**GOOD["choices"][0], "message": only_reasoning}]}) is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [],
        {"error": {"message": "x"}},
        {**GOOD, "choices": []},
        {**GOOD, "usage": None},
        {**GOOD, "usage": {"completion_tokens": 0}},
        {**GOOD, "choices": [{"message": {"content": "Hi"}, "finish_reason": None}]},
        {**GOOD, "choices": [{"message": "Hi", "finish_reason": "stop"}]},
    ],
)
def test_no_completion(answer: Any) -> None:
    problem = judge_chat(answer)
    assert problem is not None
    assert problem.code == "smoke"


@pytest.mark.parametrize(
    ("events", "good"),
    [
        ([piece("Hi"), piece("", "stop"), "[DONE]"], True),
        ([piece("", "length"), '{"choices": [], "usage": {"completion_tokens": 3}}', "[DONE]"], True),
        ([piece("Hi"), piece("", "stop")], False),  # breaks off
        ([piece("Hi"), "[DONE]"], False),  # no reason
        ([piece("", "stop"), "[DONE]"], False),  # no token
        ([piece("Hi"), '{"error": {"message": "engine died"}}', "[DONE]"], False),
        (["not json", "[DONE]"], False),
        ([], False),
    ],
)
def test_a_stream(events: list[str], good: bool) -> None:
    assert (judge_stream(events) is None) is good


def test_events_of_a_response() -> None:
    assert list(events_of([": ping", "data: {}", "", "data:[DONE]"])) == ["{}", "[DONE]"]


def test_text_is_reasoning_and_content() -> None:
    assert text_of({"reasoning": " a ", "content": "b"}) == "a b"
    assert text_of({"content": None}) == ""
