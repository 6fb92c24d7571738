"""Each fault that a smoke test looks for is found on a constructed answer, and a good answer passes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dsv4_launch.run.smoke import prompts
from dsv4_launch.run.smoke.answer import Answer, Call, streamed, whole
from dsv4_launch.run.smoke.verdict import (
    BOS,
    PROTOCOL,
    judge_call,
    judge_json,
    judge_long,
    judge_many,
    judge_parallel,
    judge_stop,
    judge_text,
)

GOOD = Answer(content="The sum is 42.", finish="stop", prompt_tokens=9, completion_tokens=6, pieces=6)
ARGUMENTS = {"item": "lamp", "quantity": 3, "gift": True, "address": {"city": "Lyon", "zip": "69001", "floor": 2}}
STORY = " ".join(f"A lamp turns {number} times, and a ship sees it." for number in range(12))


def called(arguments: object, name: str = prompts.ORDER) -> Answer:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Answer(calls=(Call("c1", name, text),), finish="tool_calls", completion_tokens=40)


def both(answer: Answer, **more: object) -> tuple[str, str]:
    """The verdicts with real and with random weights."""
    return tuple(judge_text(answer, meaning=meaning, **more).status for meaning in (True, False))  # type: ignore


def test_a_good_answer_passes_and_random_weights_are_said() -> None:
    assert judge_text(GOOD, meaning=True, expect=("42",)).status == "pass"
    verdict = judge_text(replace(GOOD, content="x%4"), meaning=False, expect=("42",))
    assert (verdict.status, verdict.why) == ("pass", PROTOCOL)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=500, error="500: engine dead"),
        replace(GOOD, finish=""),
        Answer(finish="stop"),
    ],
)
def test_a_broken_protocol_fails_random_weights_too(answer: Answer) -> None:
    assert both(answer) == ("fail", "fail")


@pytest.mark.parametrize(
    ("answer", "advisory"),
    [
        (replace(GOOD, content="", reasoning="hm, 42"), "D37"),
        (replace(GOOD, content="", reasoning="hm " + STORY, finish="length"), "D37"),
        (replace(GOOD, content="", completion_tokens=64), "D11"),  # begin-of-sequence tokens are no text
        (replace(GOOD, content=BOS * 3), "D11"),
        (replace(GOOD, content="ab" * 200), "D11"),
        (replace(GOOD, content=STORY + "the the " * 60), "D11"),
        (replace(GOOD, content="42 <｜DSML｜function_calls>"), "D34"),
        (replace(GOOD, content="42</think>"), "D34"),
        (replace(GOOD, content="It is 41."), ""),
    ],
)
def test_each_fault_of_text_is_found(answer: Answer, advisory: str) -> None:
    verdict = judge_text(answer, meaning=True, expect=("42",))
    assert (verdict.status, verdict.advisory) == ("fail", advisory)
    assert judge_text(answer, meaning=False, expect=("42",)).status == "pass"


def test_ordinary_text_is_no_repetition() -> None:
    for text in (STORY, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20", "42 " * 3):
        assert judge_text(replace(GOOD, content=text), meaning=True).status == "pass", text


def test_thinking_is_what_was_asked_for() -> None:
    thought = replace(GOOD, reasoning="17 and 25 is 42")
    assert judge_text(thought, meaning=True, thinking=True).status == "pass"
    assert judge_text(GOOD, meaning=True, thinking=False).status == "pass"
    assert judge_text(thought, meaning=True, thinking=False).advisory == "D38"
    assert "reasoning parser" in judge_text(GOOD, meaning=True, thinking=True).why


def test_a_stream_that_comes_at_once_is_none() -> None:
    assert judge_text(replace(GOOD, content=STORY, pieces=1), meaning=True, pieces=2).status == "fail"
    assert judge_text(replace(GOOD, content=STORY), meaning=True, pieces=2).status == "pass"


def test_a_typed_tool_call_passes() -> None:
    assert judge_call(called(ARGUMENTS), prompts.ORDER, prompts.ORDER_TYPES, meaning=True).status == "pass"


@pytest.mark.parametrize(
    ("answer", "advisory", "said"),
    [
        (called({**ARGUMENTS, "quantity": "3"}), "D36", "quantity is a string"),
        (called({**ARGUMENTS, "gift": "true"}), "D36", "gift is a string"),
        (called({**ARGUMENTS, "gift": 1}), "", "gift is an integer"),
        (called({**ARGUMENTS, "address": json.dumps(ARGUMENTS["address"])}), "D36", "address is a string"),
        (called({**ARGUMENTS, "address": {"city": "Lyon", "zip": "69001", "floor": "2"}}), "D36", "address.floor"),
        (called({name: value for name, value in ARGUMENTS.items() if name != "item"}), "", "item is missing"),
        (called('{"item": "la'), "", "not JSON"),
        (called("[]"), "", "a list"),
        (called(ARGUMENTS, "other"), "", "'other'"),
        (replace(called(ARGUMENTS), calls=(Call("", prompts.ORDER, json.dumps(ARGUMENTS)),)), "", "no id"),
        (replace(GOOD, content="I will order it."), "", "0 tool calls"),
        (replace(GOOD, content='<｜DSML｜invoke name="place_order">'), "D34", "markup"),
        (replace(called(ARGUMENTS), content="<｜DSML｜"), "D34", "markup"),
    ],
)
def test_each_fault_of_a_tool_call_is_found(answer: Answer, advisory: str, said: str) -> None:
    verdict = judge_call(answer, prompts.ORDER, prompts.ORDER_TYPES, meaning=True)
    assert (verdict.status, verdict.advisory) == ("fail", advisory)
    assert said in verdict.why
    assert judge_call(answer, prompts.ORDER, prompts.ORDER_TYPES, meaning=False).status == "pass"


def test_a_server_without_tools_is_not_wrong() -> None:
    refused = Answer(status=400, error='"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser')
    assert judge_call(refused, "x", {}, meaning=True).status == "not applicable"
    assert judge_parallel(refused, "x", "city", ("a",), meaning=False).status == "not applicable"


def test_parallel_calls() -> None:
    calls = tuple(Call(f"c{n}", "w", json.dumps({"city": city})) for n, city in enumerate(("Paris, France", "Tokyo")))
    answer = Answer(calls=calls, finish="tool_calls", completion_tokens=9)

    def verdict(changed: Answer) -> str:
        return judge_parallel(changed, "w", "city", ("Paris", "Tokyo"), meaning=True).why

    assert verdict(answer) == ""
    assert "Tokyo" in verdict(replace(answer, calls=calls[:1]))
    assert "one id" in verdict(replace(answer, calls=tuple(replace(call, id="c") for call in calls)))
    assert "not JSON" in verdict(replace(answer, calls=(calls[0], replace(calls[1], arguments="{"))))
    assert "markup" in verdict(replace(answer, content="<｜DSML｜"))


def test_json_must_follow_its_schema_with_random_weights_too() -> None:
    good = replace(GOOD, content='{"colour": "blue", "bright": true}')
    for meaning in (True, False):
        assert judge_json(good, prompts.JSON_TYPES, meaning=meaning).status == "pass"
        for content in ("blue", '{"colour": "blue"}', '{"colour": 1, "bright": true}', "[]", ""):
            verdict = judge_json(replace(good, content=content), prompts.JSON_TYPES, meaning=meaning)
            assert verdict.status == "fail", content
    cut = replace(good, content='{"colour":        ', finish="length")
    assert judge_json(cut, prompts.JSON_TYPES, meaning=False).status == "pass"
    assert judge_json(cut, prompts.JSON_TYPES, meaning=True).status == "fail"


def test_text_ends_before_a_stop_sequence() -> None:
    stopped = replace(GOOD, content="1, 2, 3, 4, 5, 6, 7, 8, ")
    assert judge_stop(stopped, ("9",), meaning=True, expect=("7",)).status == "pass"
    assert judge_stop(replace(stopped, finish="length"), ("9",), meaning=True).status == "fail"
    for meaning in (True, False):
        assert judge_stop(replace(stopped, content="8, 9, 10"), ("9",), meaning=meaning).status == "fail"


def test_a_long_prompt_is_not_cut_off_and_is_read() -> None:
    answer = replace(GOOD, content="zinnober", prompt_tokens=9_000)
    assert judge_long(answer, 10_000, "zinnober", meaning=True).status == "pass"
    assert judge_long(replace(answer, content="cinnabar"), 10_000, "zinnober", meaning=True).status == "fail"
    assert "cut" in judge_long(replace(answer, prompt_tokens=2_000), 10_000, "zinnober", meaning=False).why


def test_of_many_each_has_its_own_word() -> None:
    words = ["word00", "word01"]
    good = [replace(GOOD, content=word) for word in words]
    assert judge_many(good, words, meaning=True).status == "pass"
    swapped = judge_many(good[::-1], words, meaning=True)
    assert swapped.status == "fail"
    assert "2 of 2" in swapped.why
    assert judge_many([good[0], Answer(error="timeout")], words, meaning=False).status == "fail"
    assert judge_many([good[0], replace(GOOD, content=BOS)], words, meaning=True).advisory == "D11"


def test_an_answer_is_read_from_a_completion() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [call]}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    answer = whole({"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage})
    assert answer == Answer("", "hm", (Call("a", "f", "{}"),), "tool_calls", 3, 4)
    assert whole({"choices": [{"message": {"reasoning_content": "old"}}]}).reasoning == "old"
    for broken in (None, {}, [], {"choices": []}, {"choices": [{"message": "Hi"}]}, {"error": {"message": "x"}}):
        assert whole(broken).error


def test_an_answer_is_read_from_a_stream() -> None:
    def piece(delta: object, reason: object = None) -> dict[str, object]:
        return {"choices": [{"delta": delta, "finish_reason": reason}]}

    def part(index: int, arguments: str, **more: object) -> dict[str, object]:
        return {"tool_calls": [{"index": index, "function": {"arguments": arguments, "name": None}, **more}]}

    named = {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}]}
    first = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x'}}]}
    chunks = [
        piece({"role": "assistant", "content": ""}),
        piece({"reasoning": "h"}),
        piece({"content": "He"}),
        piece({"content": "y"}),
        piece(first),
        piece(named),
        piece(part(0, '": 1}')),
        piece(part(1, "{}")),
        piece({}, "tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 7}},
    ]
    calls = (Call("a", "f", '{"x": 1}'), Call("b", "g", "{}"))
    assert streamed(chunks) == Answer("Hey", "h", calls, "tool_calls", 1, 7, 3)
    assert streamed([]).finish == ""
    for broken in (None, {}, {"choices": [None]}, {"choices": [{"delta": "Hi"}]}):
        assert streamed([broken]).error
