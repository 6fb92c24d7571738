"""Whether one answer of a smoke test is right, and which known fault it shows if not: pure.

With random weights (a rehearsal) only the protocol can be judged: ``meaning`` is false then, and the verdict says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dsv4_launch.run.smoke.answer import Answer, Call

Status = Literal["pass", "fail", "not applicable"]

PROTOCOL = "protocol only"
# Special tokens that belong to the model's own format, and never into an answer.
BOS = "<｜begin▁of▁sentence｜>"
_MARKUP = ("｜DSML｜", "<｜", "｜>", "<think>", "</think>")
_NO_TOOLS = ("requires --enable-auto-tool-choice", "requires --tool-call-parser")
# So many characters at the end are looked at for repetition, of so short a period.
_TAIL, _LONGEST_PERIOD = 240, 24
_ENOUGH_TOKENS = 8
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Verdict:
    """``why`` is the reason of a failure or of what was not judged; ``advisory`` the id of the known fault.

    ``silent``: no answer came at all, neither in time nor an HTTP error.
    """

    status: Status
    why: str = ""
    advisory: str = ""
    silent: bool = False


def right(why: str = "") -> Verdict:
    """It passed; ``why`` may say what was seen, or not judged."""
    return Verdict("pass", why)


def wrong(why: str, advisory: str = "") -> Verdict:
    """It failed."""
    return Verdict("fail", why, advisory)


def outside(why: str, advisory: str = "") -> Verdict:
    """It cannot be judged here."""
    return Verdict("not applicable", why, advisory)


def judge_text(
    answer: Answer, *, meaning: bool, expect: Sequence[str] = (), thinking: bool | None = None, pieces: int = 0
) -> Verdict:
    """An answer in words: it must end, be text of the model, and hold each of ``expect`` (without regard to case).

    ``thinking``: whether it was asked to think (None: not said). ``pieces``: so many must a stream come in.
    """
    fault = _protocol(answer) or (_no_stream(answer, pieces) if pieces else None)
    if fault or not meaning:
        return fault or right(PROTOCOL)
    fault = _garbage(answer) or _markup(answer) or _thought(answer, thinking)
    if fault:
        return fault
    missing = [word for word in expect if word.lower() not in answer.content.lower()]
    if missing:
        return wrong(f"the answer lacks {', '.join(map(repr, missing))}: {_short(answer.content)}")
    return right()


def judge_call(answer: Answer, name: str, types: Mapping[str, Any], *, meaning: bool) -> Verdict:
    """One call of the tool ``name`` with arguments of these types (a type, or a mapping of a nested object's)."""
    if any(told in answer.error for told in _NO_TOOLS):
        return outside("the server was started without a parser of tool calls")
    fault = _protocol(answer)
    if fault or not meaning:
        return fault or right(PROTOCOL)
    fault = _garbage(answer) or _markup(answer)
    if fault:
        return fault
    if len(answer.calls) != 1:
        return wrong(f"{len(answer.calls)} tool calls came, 1 was asked for; it said: {_short(answer.content)}")
    return _arguments(answer.calls[0], name, types) or right()


def judge_parallel(answer: Answer, name: str, key: str, values: Sequence[str], *, meaning: bool) -> Verdict:
    """A call for each of ``values`` in one answer, each with an id of its own."""
    if any(told in answer.error for told in _NO_TOOLS):
        return outside("the server was started without a parser of tool calls")
    fault = _protocol(answer)
    if fault or not meaning:
        return fault or right(PROTOCOL)
    fault = _garbage(answer) or _markup(answer)
    for call in () if fault else answer.calls:
        fault = fault or _arguments(call, name, {key: str})
    if fault:
        return fault
    said = [str(json.loads(call.arguments)[key]).lower() for call in answer.calls]
    missing = [value for value in values if not any(value.lower() in word for word in said)]
    if missing:
        return wrong(f"{len(answer.calls)} tool calls came; none is for {', '.join(missing)}")
    if len({call.id for call in answer.calls}) < len(answer.calls):
        return wrong("tool calls share one id")
    return right()


def judge_json(answer: Answer, types: Mapping[str, Any], *, meaning: bool) -> Verdict:
    """Content that is JSON of these types: the server enforces it, so random weights must obey too."""
    fault = _protocol(answer)
    if fault:
        return fault
    if answer.finish == "length" and not meaning:
        return right(f"{PROTOCOL}; they did not come to an end")
    try:
        data = json.loads(answer.content)
    except ValueError:
        return wrong(f"the content is not JSON, although a schema was given: {_short(answer.content)}")
    bad = _mistyped(data, types)
    return wrong(f"the JSON does not follow the schema: {bad}") if bad else right()


def judge_stop(answer: Answer, stops: Sequence[str], *, meaning: bool, expect: Sequence[str] = ()) -> Verdict:
    """Text that ends before the first stop sequence."""
    fault = _protocol(answer)
    if fault:
        return fault
    passed = [stop for stop in stops if stop in answer.content]
    if passed:
        return wrong(f"the text goes on past the stop sequence {passed[0]!r}: {_short(answer.content)}")
    if not meaning:
        return right(PROTOCOL)
    if answer.finish != "stop":
        return wrong(f"it ended for another reason than the stop sequence: {answer.finish}")
    return judge_text(answer, meaning=True, expect=expect)


def judge_long(answer: Answer, wanted_tokens: int, word: str, *, meaning: bool) -> Verdict:
    """A long prompt: taken whole, and read: ``word`` stands in its middle."""
    fault = _protocol(answer)
    if fault:
        return fault
    seen = answer.prompt_tokens
    if seen < wanted_tokens // 2:
        return wrong(f"the server counts {seen} prompt tokens, about {wanted_tokens} were sent: it cut them off")
    verdict = judge_text(answer, meaning=meaning, expect=(word,))
    said = f"{seen} prompt tokens"
    return right(f"{said}; {verdict.why}" if verdict.why else said) if verdict.status == "pass" else verdict


def judge_many(answers: Sequence[Answer], words: Sequence[str], *, meaning: bool) -> Verdict:
    """Concurrent requests: each is answered, and with its own word, not another's."""
    verdicts = [judge_text(a, meaning=meaning, expect=(w,)) for a, w in zip(answers, words, strict=True)]
    failed = [verdict for verdict in verdicts if verdict.status == "fail"]
    if failed:
        first = next((verdict for verdict in failed if verdict.advisory), failed[0])
        silent = all(verdict.silent for verdict in failed)
        return Verdict("fail", f"{len(failed)} of {len(answers)} are wrong; {first.why}", first.advisory, silent)
    return right("" if meaning else PROTOCOL)


def _protocol(answer: Answer) -> Verdict | None:
    if answer.error:
        return Verdict("fail", f"no answer: {answer.error}", silent=answer.status == 0)
    if not answer.finish:
        return wrong("the answer breaks off: it does not say why it ended")
    if not (answer.completion_tokens or answer.text or answer.calls):
        return wrong("an empty answer: no token was generated")
    return None


def _no_stream(answer: Answer, pieces: int) -> Verdict | None:
    if answer.completion_tokens >= 2 * pieces > 2 * answer.pieces:
        return wrong(f"{answer.completion_tokens} tokens came in {answer.pieces} pieces: nothing is streamed")
    return None


def _garbage(answer: Answer) -> Verdict | None:
    """Begin-of-sequence tokens only, or one piece over and over."""
    if BOS in answer.text:
        return wrong(f"begin-of-sequence tokens stand in the answer: {_short(answer.text)}", "D11")
    if not answer.text.strip() and not answer.calls and answer.completion_tokens >= _ENOUGH_TOKENS:
        return wrong(f"{answer.completion_tokens} tokens were generated, and none of them is text", "D11")
    if (period := _period(answer.text)) is not None:
        return wrong(f"the answer repeats {period!r} over and over", "D11")
    return None


def _period(text: str) -> str | None:
    tail = text.rstrip()[-_TAIL:]
    if len(tail) < _TAIL // 4:
        return None
    for size in range(1, _LONGEST_PERIOD + 1):
        if len(tail) >= 6 * size and tail[size:] == tail[:-size]:
            return tail[-size:]
    return None


def _markup(answer: Answer) -> Verdict | None:
    found = next((mark for mark in _MARKUP if mark in answer.content), None)
    if found is None:
        return None
    at = answer.content.index(found)
    return wrong(f"the model's own markup stands in the content: {_short(answer.content[max(0, at - 20) :])}", "D34")


def _thought(answer: Answer, thinking: bool | None) -> Verdict | None:
    if not answer.content.strip() and not answer.calls:
        where = "all of it is in reasoning" if answer.reasoning.strip() else "nothing is in reasoning either"
        cut = ", cut off at max_tokens" if answer.finish == "length" else ""
        return wrong(f"the content is empty; {where}{cut}", "D37" if answer.reasoning.strip() else "")
    if thinking is False and answer.reasoning.strip():
        return wrong("it thinks although it was asked not to", "D38")
    if thinking and not answer.reasoning.strip():
        return wrong("it was asked to think, and no thought came back: is the reasoning parser set?")
    return None


def _arguments(call: Call, name: str, types: Mapping[str, Any]) -> Verdict | None:
    if call.name != name:
        return wrong(f"the tool {call.name!r} was called, not {name!r}")
    if not call.id:
        return wrong("the tool call has no id")
    try:
        data = json.loads(call.arguments)
    except ValueError:
        return wrong(f"the arguments of the tool call are not JSON: {_short(call.arguments)}")
    bad = _mistyped(data, types)
    # A number or an object that comes as text: the parser did not look at its type.
    text = bad.endswith(" is a string")
    return wrong(f"an argument of the tool call has the wrong type: {bad}", "D36" if text else "") if bad else None


def _mistyped(data: Any, types: Mapping[str, Any], path: str = "") -> str:
    """The first value that is missing or of another type than asked ("" if none)."""
    if not isinstance(data, Mapping):
        return f"{path or 'the value'} is {_kind(data)}"
    for name, wanted in types.items():
        where = f"{path}.{name}" if path else name
        if name not in data:
            return f"{where} is missing"
        value = data[name]
        if isinstance(wanted, Mapping):
            if bad := _mistyped(value, wanted, where):
                return bad
        elif type(value) is not wanted:  # True is an int for isinstance
            return f"{where} is {_kind(value)}"
    return ""


def _kind(value: Any) -> str:
    kinds = {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), "null")


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
