"""A whole smoke test against a server that is made up: what is asked, what does not apply, what is reported."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dsv4_launch.errors import SmokeError, UsageError
from dsv4_launch.run.smoke import load, prompts
from dsv4_launch.run.smoke.answer import Answer, Call
from dsv4_launch.run.smoke.checks import CHECKS
from dsv4_launch.run.smoke.endpoint import Metrics, read_metrics
from dsv4_launch.run.smoke.junit import junit
from dsv4_launch.run.smoke.routes import generating
from dsv4_launch.run.smoke.subject import Subject
from dsv4_launch.run.smoke.suite import Outcome, Report, Wanted, problems, run_checks, subject_of

ROUTES = {
    "paths": {
        "/v1/chat/completions": {
            "post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Chat"}}}}
            }
        },
        "/v1/audio": {
            "post": {
                "requestBody": {"content": {"multipart/form-data": {"schema": {"properties": {"max_tokens": {}}}}}}
            }
        },
        "/invocations": {"post": {}},
        "/sleep": {"post": {}},
        "/v1/models": {"get": {}},
        "/v1/responses/{id}/cancel": {"post": {}},
        "/tokenize": {
            "post": {
                "requestBody": {
                    "content": {"application/json": {"schema": {"anyOf": [{"$ref": "#/components/schemas/Tok"}]}}}
                }
            }
        },
    },
    "components": {
        "schemas": {
            "Chat": {"properties": {"messages": {}, "max_tokens": {}}},
            "Tok": {"properties": {"messages": {}}},
        }
    },
}


@dataclass
class Fake:
    """A good model; ``fails`` replaces its answer to a request that holds a word."""

    bodies: list[Mapping[str, Any]] = field(default_factory=list)
    fails: dict[str, Answer] = field(default_factory=dict)
    running: float = 0.0
    cancels: bool = True
    hits: float = 256.0
    aborted: float = 0.0
    queries: float = 0.0
    cached: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)

    def chat(self, body: Mapping[str, Any]) -> Answer:
        self.bodies.append(body)
        self.queries += 100
        self.cached += self.hits
        text = json.dumps(body, ensure_ascii=False)
        for word, answer in self.fails.items():
            if word in text:
                return answer
        return self._good(body, str(body["messages"][-1]["content"]))

    def _good(self, body: Mapping[str, Any], asked: str) -> Answer:
        thinking = (body.get("chat_template_kwargs") or {}).get("thinking")
        answer = Answer("ok", "thought" if thinking else "", (), "stop", 20_000, 20, 20)
        for word, said in (
            ("17 + 25", "42"),
            ("order number", "It is A-7351"),
            ("which file", "FILE-88"),
            ("colour has", '{"colour": "blue", "bright": true}'),
            ("Count from", "1, 2, 3, 4, 5, 6, 7, 8, "),
            ("secret word", "zinnober"),
            ("exactly this", asked.rpartition(" ")[2]),
        ):
            if word in asked:
                return replace(answer, content=said)
        if asked == prompts.ORDER_ASK:
            address = {"city": "Lyon", "zip": "69001", "floor": 2}
            return called(answer, (prompts.ORDER, {"item": "lamp", "quantity": 3, "gift": True, "address": address}))
        if asked == prompts.WEATHER_ASK:
            return called(answer, *((prompts.WEATHER, {"city": city}) for city in prompts.CITIES))
        if "word for word" in asked:
            return called(answer, (prompts.STORE, {"text": asked.partition("\n")[2]}))
        return answer

    def stream(self, body: Mapping[str, Any]) -> Answer:
        return self.chat(body)

    def abandon(self, body: Mapping[str, Any], after: int) -> Answer:
        self.running += 1
        if self.cancels:
            self.running -= 1
            self.aborted += 1
        return Answer("ok", pieces=after)

    def metrics(self) -> Metrics | None:
        return Metrics(self.running, self.aborted, self.queries, self.cached)

    def document(self, path: str) -> Any:
        return ROUTES if path == "/openapi.json" else {"version": "0.28.0"}

    def knock(self, path: str) -> int:
        return self.statuses.get(path, 401)

    def tokens(self, model: str, text: str) -> int | None:
        return len(text) // 4

    def wait(self, seconds: float) -> None:
        return None


def called(answer: Answer, *calls: tuple[str, object]) -> Answer:
    made = tuple(Call(f"c{n}", name, json.dumps(arguments)) for n, (name, arguments) in enumerate(calls))
    return replace(answer, content="", calls=made, finish="tool_calls")


SUBJECT = Subject("m", 1_048_576, "0.28.0", keyed=True)


def outcomes(fake: Fake, subject: Subject = SUBJECT, **skips: str) -> dict[str, Outcome]:
    found = run_checks(CHECKS, fake, subject, skips, lambda _: None, lambda: 0.0)
    return {outcome.key: outcome for outcome in found}


def test_a_good_server_passes_every_check() -> None:
    fake = Fake()
    found = outcomes(fake)
    assert {key: (o.status, o.why) for key, o in found.items() if o.status != "pass"} == {}
    assert len(found) == len(CHECKS) == 18
    asked = json.dumps(fake.bodies)
    for needed in ('"thinking": true', '"thinking": false', '"reasoning_effort": "max"', '"parallel_tool_calls": true'):
        assert needed in asked
    assert max(len(json.dumps(body)) for body in fake.bodies) > prompts.LONG_CHARACTERS
    assert len([body for body in fake.bodies if "exactly this" in json.dumps(body)]) == 32


def test_random_weights_are_judged_by_the_protocol_only() -> None:
    class Babble(Fake):
        def _good(self, body: Mapping[str, Any], asked: str) -> Answer:
            schema = '{"colour": "red", "bright": false}' if "response_format" in body else "x%$"
            return Answer(schema, "", (), "length", 20_000, 20, 20)

    real, random = outcomes(Babble()), outcomes(Babble(), replace(SUBJECT, random=True))
    assert {outcome.status for outcome in random.values()} == {"pass"}
    failed = {key for key, outcome in real.items() if outcome.status == "fail"}
    assert failed == {
        "chat", "thinking-off", "thinking-on", "think-max", "tool-call", "tool-stream", "tool-turn", "tool-parallel",
        "tool-long", "stop", "long-prompt", "concurrent",
    }  # fmt: skip


def test_what_does_not_apply_has_a_reason() -> None:
    small = outcomes(Fake(), replace(SUBJECT, context=8_192, keyed=False), stop="it is known")
    assert {key: o.why for key, o in small.items() if o.status == "not applicable"} == {
        "think-max": "it needs a context of 393216 tokens, this server has 8192",
        "tool-long": "it needs a context of 24576 tokens, this server has 8192",
        "stop": "skipped: it is known",
        "key": "no API key was given; a server that others can reach needs one",
    }


def test_a_release_that_does_not_know_the_greatest_effort() -> None:
    refused = Answer(status=400, error="400: Input should be 'none', 'low', 'medium' or 'high'")
    fake = Fake(fails={'"reasoning_effort": "max"': refused})
    assert outcomes(fake, replace(SUBJECT, version="0.20.0"))["think-max"].advisory == "D39"
    assert outcomes(fake, replace(SUBJECT, version="0.20.0"))["think-max"].status == "not applicable"
    assert outcomes(fake)["think-max"].status == "fail"


def test_a_request_that_is_not_freed_is_found() -> None:
    found = outcomes(Fake(cancels=False))["cancel"]
    assert found.status == "fail"
    assert "still runs" in found.why
    over = Fake()
    over.abandon = lambda body, after: Answer("ok", finish="length")  # type: ignore[method-assign]
    assert outcomes(over)["cancel"].status == "not applicable"


def test_freed_is_counted_or_seen() -> None:
    assert load.freed(Metrics(2, 5), Metrics(3, 6))
    assert load.freed(Metrics(0), Metrics(0))
    assert not load.freed(Metrics(0, 5), Metrics(1, 5))
    assert not load.freed(Metrics(0, 5), None)


def test_a_prefix_cache_without_hits_is_found() -> None:
    assert outcomes(Fake(hits=0))["prefix-cache"].advisory == "D40"
    off = Fake()
    off.metrics = lambda: Metrics(0, 0, 0, 0)  # type: ignore[method-assign]
    assert outcomes(off)["prefix-cache"].status == "not applicable"
    blind = Fake()
    blind.metrics = lambda: None  # type: ignore[method-assign]
    assert {outcomes(blind)[key].status for key in ("prefix-cache", "cancel")} == {"not applicable"}


def test_generating_routes_are_read_from_the_document() -> None:
    assert generating(ROUTES) == ("/invocations", "/v1/audio", "/v1/chat/completions")
    for broken in (None, [], {}, {"paths": []}, {"paths": {"/x": []}}, {"paths": {"/x": {"post": {"requestBody": 1}}}}):
        assert generating(broken) == ()
    hostile = {"paths": {"/\x1b[2J": {"post": {}}, "no-slash": {"post": {}}}}
    assert generating(hostile) == ()


def test_every_generating_route_must_want_the_key() -> None:
    assert outcomes(Fake())["key"].status == "pass"
    open_ = outcomes(Fake(statuses={"/invocations": 400}))["key"]
    assert open_.status == "fail"
    assert "/invocations" in open_.why
    hidden = outcomes(Fake(statuses={"/invocations": 404, "/v1/audio": 405}))["key"]
    assert hidden.status == "pass"
    assert load.judge_key({"/v1/chat/completions": 200}).status == "fail"
    assert load.judge_key({"/v1/chat/completions": 404}).status == "fail"
    assert load.judge_key({"/v1/chat/completions": 0}).status == "fail"
    assert load.judge_key({}).status == "not applicable"


def test_behind_a_proxy_that_hides_the_document_the_known_routes_are_asked() -> None:
    hiding = Fake()
    hiding.document = lambda path: None  # type: ignore[method-assign]
    found = outcomes(hiding)["key"]
    assert (found.status, "document is hidden" in found.why) == ("pass", True)
    hiding.statuses = {"/v1/completions": 400}
    found = outcomes(hiding)["key"]
    assert (found.status, "without the key /v1/completions can be used" in found.why) == ("fail", True)


def test_an_answer_of_an_unknown_form_fails_one_check_only() -> None:
    class Odd(Fake):
        def chat(self, body: Mapping[str, Any]) -> Answer:
            if body.get("response_format"):
                raise KeyError("x")
            return super().chat(body)

    found = outcomes(Odd())
    assert [key for key, outcome in found.items() if outcome.status == "fail"] == ["json-schema"]


def test_a_server_that_stops_answering_is_given_up() -> None:
    late = Answer(status=0, error="Request timed out.")
    found = outcomes(Fake(fails={"role": late}), **{"chat-stream": "known"})
    assert [key for key, one in found.items() if one.status == "fail"] == ["chat", "thinking-off"]
    assert {one.why for key, one in found.items() if key not in ("chat", "chat-stream", "thinking-off")} == {
        "not asked any more: the server has stopped answering"
    }
    # An answer in between, or an HTTP error, and the others are asked.
    once = outcomes(Fake(fails={'"reasoning_effort"': late, '"response_format"': late}))
    assert once["concurrent"].status == "pass"
    refused = outcomes(Fake(fails={"role": Answer(status=500, error="500: x")}))
    assert refused["concurrent"].status == "fail"


def test_metrics_are_summed_over_engines() -> None:
    text = (
        "# HELP vllm:num_requests_running x\n"
        'vllm:num_requests_running{engine="0",model_name="a}b"} 1.0\n'
        'vllm:num_requests_running{engine="1",model_name="a"} 2.0\n'
        'vllm:request_success_total{engine="0",finished_reason="abort"} 4.0\n'
        'vllm:request_success_total{engine="0",finished_reason="stop"} 9.0\n'
        'vllm:request_success_created{engine="0",finished_reason="abort"} 1.7e+09\n'
        "vllm:prefix_cache_hits_total 1536\n"
    )
    # A brace within a label ends it early: such a sample is left out rather than misread.
    assert read_metrics(text) == Metrics(running=2.0, aborted=4.0, cache_hits=1536.0)
    assert read_metrics("vllm:num_requests_running nonsense\n\x00") == Metrics()


def test_the_model_that_is_tested() -> None:
    listed = [{"id": "a", "max_model_len": 8192, "root": "/home/u/.cache/dsv4/rehearsal/model"}, {"id": "b"}]
    first = subject_of(listed, Fake(), Wanted(), keyed=False)
    assert (first.model, first.context, first.version, first.random) == ("a", 8192, "0.28.0", True)
    second = subject_of(listed, Fake(), Wanted(model="b", random=None), keyed=True)
    assert (second.context, second.random, second.keyed) == (0, False, True)
    for names in ([], listed):
        with pytest.raises(SmokeError):
            subject_of(names, Fake(), Wanted(model="c"), keyed=False)


REPORT = Report(
    "http://127.0.0.1:1",
    "m<\x1b&",
    "0.28.0",
    True,
    (
        Outcome("a", "an <a>", "pass", "", "", 1.0),
        Outcome("b", "a b", "fail", 'it says "\x00</failure>"', "D34", 0.5),
        Outcome("c", "a c", "not applicable", "no key", "", 0.0),
        Outcome("key", "the key", "fail", "open", "", 0.0),
    ),
    1.5,
)


def test_junit_is_xml_whatever_the_server_said() -> None:
    suite = ET.fromstring(junit(REPORT)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")} == {
        "tests": "4", "failures": "2", "skipped": "1", "errors": "0"
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    failure = cases["b"].find("failure")
    assert failure is not None
    assert failure.get("type") == "D34"
    assert "</failure>" in str(failure.get("message"))
    skipped = cases["c"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "no key"


def test_problems_name_the_known_fault_and_its_fix() -> None:
    leak, key = problems(REPORT)
    assert leak.code == "D34"
    assert "tool_choice" in leak.fix
    assert (key.code, "proxy" in key.fix) == ("smoke", True)


def test_skips_need_a_check_and_a_reason() -> None:
    from dsv4_launch.cli.service.smoking import parse_skips

    assert parse_skips(["key=behind a proxy=yes"]) == {"key": "behind a proxy=yes"}
    for word in ("kee=x", "key", "key= "):
        with pytest.raises(UsageError):
            parse_skips([word])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://h",
        "http://",
        "http://h:99999",
        "http://u:secret@h",
        "http://h/\x1b",
        "http://h?a=b",
        "file:///e",
    ],
)
def test_urls_that_are_no_servers(url: str) -> None:
    from dsv4_launch.cli.service import smoking

    with pytest.raises(UsageError):
        smoking.checked_url(url)


def test_urls_with_and_without_v1_are_one() -> None:
    from dsv4_launch.cli.service import smoking

    for url in ("http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"):
        assert smoking.checked_url(url) == "http://h:1"
