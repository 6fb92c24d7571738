"""What is told of a failure."""

from __future__ import annotations

import json

from dsv4_launch.run.watch.event import Event, body, variables

EVENT = Event(
    event="died",
    service="x",
    target="docker",
    host="node7",
    time="2026-11-25T10:00:00+00:00",
    message="exit code 1",
    action="It is started again in 5 s.",
    exit_code=None,
    restarts=2,
)


def test_variables_are_named_after_us_and_are_text() -> None:
    told = variables(EVENT)
    assert told["DSV4_EVENT"] == "died"
    assert told["DSV4_RESTARTS"] == "2"
    assert told["DSV4_EXIT_CODE"] == ""
    assert all(name.startswith("DSV4_") and isinstance(value, str) for name, value in told.items())


def test_body_is_json_with_a_line_for_a_chat() -> None:
    told = json.loads(body(EVENT))
    assert told["text"] == "x on node7: exit code 1. It is started again in 5 s."
    assert told["exit_code"] is None
    assert {"event", "service", "target", "host", "time", "message", "action", "restarts"} <= set(told)
