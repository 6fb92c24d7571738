"""Checks of what is said: completions, thinking, JSON, stop sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dsv4_launch.catalog.advisories import advisories
from dsv4_launch.catalog.releases import nearest_release
from dsv4_launch.run.smoke import prompts, verdict
from dsv4_launch.run.smoke.endpoint import Endpoint
from dsv4_launch.run.smoke.subject import Subject, worst
from dsv4_launch.run.smoke.verdict import Verdict, outside

# DeepSeek asks for this much context where the model thinks at its most.
THINK_MAX_CONTEXT = 393_216


def chat(endpoint: Endpoint, subject: Subject) -> Verdict:
    """A completion, with the thinking that the server has by default."""
    answer = endpoint.chat(prompts.ask(subject.model, prompts.SUM, subject.limit(2048)))
    return verdict.judge_text(answer, meaning=subject.meaning, expect=(prompts.SUM_ANSWER,))


def chat_stream(endpoint: Endpoint, subject: Subject) -> Verdict:
    """A streamed completion comes in pieces."""
    answer = endpoint.stream(prompts.ask(subject.model, prompts.STORY, subject.limit(2048)))
    return verdict.judge_text(answer, meaning=subject.meaning, pieces=2)


def thinks(thinking: bool) -> Callable[[Endpoint, Subject], Verdict]:
    """Thinking switched on or off for one request."""

    def run(endpoint: Endpoint, subject: Subject) -> Verdict:
        body = prompts.ask(subject.model, prompts.SUM, subject.limit(4096 if thinking else 128), thinking=thinking)
        judged = [
            verdict.judge_text(asked(body), meaning=subject.meaning, expect=(prompts.SUM_ANSWER,), thinking=thinking)
            for asked in (endpoint.chat, endpoint.stream)
        ]
        return worst(judged)

    return run


def think_max(endpoint: Endpoint, subject: Subject) -> Verdict:
    """The greatest effort: its thought ends, and an answer follows."""
    more = {"reasoning_effort": "max"}
    body = prompts.ask(subject.model, prompts.SUM, subject.limit(16_384), thinking=True, **more)
    answer = endpoint.chat(body)
    if answer.status in (400, 422) and _known("D39", subject.version):
        return outside(f"vLLM {subject.version} does not know reasoning_effort max", "D39")
    return verdict.judge_text(answer, meaning=subject.meaning, expect=(prompts.SUM_ANSWER,), thinking=True)


def special_tokens(endpoint: Endpoint, subject: Subject) -> Verdict:
    """With special tokens shown, none of them stands in the text."""
    body = prompts.ask(subject.model, prompts.STORY, subject.limit(512), thinking=False, skip_special_tokens=False)
    answer = endpoint.chat(body)
    if answer.content.endswith("<｜end▁of▁sentence｜>"):  # it ends so, and special tokens were asked for
        answer = replace(answer, content=answer.content.removesuffix("<｜end▁of▁sentence｜>"))
    return verdict.judge_text(answer, meaning=subject.meaning)


def json(endpoint: Endpoint, subject: Subject) -> Verdict:
    """Output that a JSON schema constrains."""
    body = prompts.ask(
        subject.model, "Which colour has the sky?", 128, thinking=False, response_format=prompts.json_format()
    )
    return verdict.judge_json(endpoint.chat(body), prompts.JSON_TYPES, meaning=subject.meaning)


def stop(endpoint: Endpoint, subject: Subject) -> Verdict:
    """Text ends before a stop sequence."""
    stops = prompts.COUNT_STOPS if subject.meaning else prompts.RANDOM_STOPS
    body = prompts.ask(subject.model, prompts.COUNT, subject.limit(256), thinking=False, stop=list(stops))
    return verdict.judge_stop(endpoint.chat(body), stops, meaning=subject.meaning, expect=prompts.COUNT_SEEN)


def _known(code: str, version: str) -> bool:
    """Whether an advisory concerns the release that answers."""
    if not version[:1].isdigit():
        return False
    release = nearest_release(version)[0].version
    return any(advisory.id == code and advisory.concerns(release) for advisory in advisories())
