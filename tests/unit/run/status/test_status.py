"""The status of what was seen, and whether it is what the config says."""

from __future__ import annotations

import pytest
from doubles import service

from dsv4_launch.run.endpoint import Answer
from dsv4_launch.run.start.stages import Stage, read
from dsv4_launch.run.status.status import MAX_LINES, judge, look

CONFIG = """{name: x, model: flash, vllm: '0.20.0', gpu: b200, parallel: {tensor: 4, expert: true},
  engine: {compilation_config: {custom_ops: [all]}}}"""
LOADING = read(["Starting to load model x", "Loading safetensors checkpoint shards: 2% Completed | 1/46 [0"])
UP = read(["INFO:     Application startup complete."])


@pytest.mark.parametrize(
    ("changes", "answer", "stage", "state", "words"),
    [
        ({}, Answer("ready"), Stage(), "ready", ""),
        ({}, Answer("key-refused", "401"), Stage(), "ready", "401"),
        ({}, Answer("silent"), LOADING, "starting", "loading weights 1/46"),
        ({}, Answer("silent", "ConnectionRefusedError"), UP, "failed", "does not answer any more"),
        ({}, Answer("unhealthy", "/health answers 503"), UP, "failed", "503"),
        ({"life": "created"}, None, Stage(), "starting", "not started yet"),
        ({"life": "created", "error": "cannot bind"}, None, Stage(), "failed", "cannot bind"),
        ({"life": "paused"}, None, UP, "failed", "docker unpause"),
        ({"life": "exited", "exit_code": 0, "stopped": True}, None, UP, "stopped", ""),
        ({"life": "exited", "exit_code": 1}, None, LOADING, "failed", "exit code 1, while loading weights 1/46"),
        ({"life": "exited", "exit_code": 1}, None, Stage(), "failed", "before it said anything"),
        ({"life": "exited", "exit_code": 137}, None, UP, "failed", "SIGKILL"),
        ({"life": "restarting", "exit_code": 1, "restarts": 9}, None, LOADING, "failed", "9 restarts"),
    ],
)
def test_states(changes: dict[str, object], answer: Answer | None, stage: Stage, state: str, words: str) -> None:
    status = judge(service(**changes), answer, stage)
    assert status.state == state
    assert words in f"{status.stage} {status.why}"


def test_a_log_is_not_read_where_the_endpoint_answers() -> None:
    def lines() -> list[str]:
        raise AssertionError("the log was read")

    assert look(service(), lines, lambda *_: Answer("ready"), {}).state == "ready"


def test_the_key_is_found_by_the_name_in_the_config() -> None:
    asked: list[tuple[object, ...]] = []

    def asks(*words: object) -> Answer:
        asked.append(words)
        return Answer("ready")

    config = {"server": {"api_key_env": "MY_KEY", "served_model_name": "tiny"}}
    look(service(config=config), list, asks, {"MY_KEY": "k"})
    assert asked == [("http://127.0.0.1:8000", ("tiny",), "k")]


def test_a_start_too_far_back_in_the_log_was_a_start() -> None:
    status = look(service(), lambda: ["GET /health"] * MAX_LINES, lambda *_: Answer("silent", "timed out"), {})
    assert (status.state, "timed out" in status.why) == ("failed", True)


def test_a_failure_tells_what_the_log_blames() -> None:
    status = look(service(life="exited", exit_code=1), lambda: ["ValueError: no"], lambda *_: Answer("silent"), {})
    assert status.why.endswith("it says: ValueError: no")
