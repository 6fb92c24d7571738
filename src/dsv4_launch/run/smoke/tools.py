"""Checks of tool calls: typed arguments, streamed or not, in parallel, long, and the turn after one."""

from __future__ import annotations

import json
from collections.abc import Callable

from dsv4_launch.run.smoke import prompts, verdict
from dsv4_launch.run.smoke.endpoint import Endpoint
from dsv4_launch.run.smoke.subject import Subject, worst
from dsv4_launch.run.smoke.verdict import Verdict, wrong


def call(*, stream: bool) -> Callable[[Endpoint, Subject], Verdict]:
    """One tool call with an argument of each type, while thinking and not."""

    def run(endpoint: Endpoint, subject: Subject) -> Verdict:
        asked = endpoint.stream if stream else endpoint.chat
        judged = [
            verdict.judge_call(
                asked(
                    prompts.ask(
                        subject.model,
                        prompts.ORDER_ASK,
                        subject.limit(4096),
                        thinking=thinking,
                        tools=prompts.order_tools(),
                        tool_choice="auto",
                    )
                ),
                prompts.ORDER,
                prompts.ORDER_TYPES,
                meaning=subject.meaning,
            )
            for thinking in (False, True)
        ]
        return worst(judged)

    return run


def second_turn(endpoint: Endpoint, subject: Subject) -> Verdict:
    """What the tool answered is used in the model's next turn."""
    arguments = json.dumps(
        {"item": "lamp", "quantity": 3, "gift": True, "address": {"city": "Lyon", "zip": "69001", "floor": 2}}
    )
    told = json.dumps({"order_number": "A-7351", "arrives": "on Friday"})
    messages = prompts.second_turn(prompts.ORDER, arguments, prompts.ORDER_ASK, told)
    messages.append({"role": "user", "content": "Which order number was it?"})
    body = prompts.talk(subject.model, messages, subject.limit(1024), thinking=False, tools=prompts.order_tools())
    return verdict.judge_text(endpoint.chat(body), meaning=subject.meaning, expect=("A-7351",))


def parallel(endpoint: Endpoint, subject: Subject) -> Verdict:
    """Two calls in one answer."""
    more = {"tools": prompts.weather_tools(), "tool_choice": "auto", "parallel_tool_calls": True}
    body = prompts.ask(subject.model, prompts.WEATHER_ASK, subject.limit(1024), thinking=False, **more)
    judged = [
        verdict.judge_parallel(asked(body), prompts.WEATHER, "city", prompts.CITIES, meaning=subject.meaning)
        for asked in (endpoint.chat, endpoint.stream)
    ]
    return worst(judged)


def long_string(endpoint: Endpoint, subject: Subject) -> Verdict:
    """An argument of 20 kB arrives whole, and goes back in the next turn."""
    text = prompts.long_text(prompts.LONG_CHARACTERS)
    asked = f"Store this text with the tool, word for word, all of it:\n{text}"
    tools = prompts.store_tools()
    answer = endpoint.stream(
        prompts.ask(subject.model, asked, subject.limit(12_288), thinking=False, tools=tools, tool_choice="auto")
    )
    first = verdict.judge_call(answer, prompts.STORE, {"text": str}, meaning=subject.meaning)
    if first.status != "pass":
        return first
    if subject.meaning:
        came = len(json.loads(answer.calls[0].arguments)["text"])
        if came < 0.9 * len(text):
            return wrong(f"{came} of {len(text)} characters of the argument came")
    messages = prompts.second_turn(prompts.STORE, json.dumps({"text": text}), "Store my notes.", "stored as FILE-88")
    messages.append({"role": "user", "content": "As which file was it stored?"})
    second = endpoint.chat(prompts.talk(subject.model, messages, subject.limit(512), thinking=False, tools=tools))
    return verdict.judge_text(second, meaning=subject.meaning, expect=("FILE-88",))
