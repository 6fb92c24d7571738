"""Back-off, and what is a hang."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.config.watch import Watch
from dsv4_launch.run.status.metrics import Metrics
from dsv4_launch.run.watch.policy import Backoff, Pulse

BUSY = Metrics(0.0, running=2, waiting=1, generation_tokens=10, prompt_tokens=5, kv_cache_usage=0.1)
IDLE = Metrics(0.0, running=0, waiting=0, generation_tokens=10)


def test_waits_twice_as_long_each_time_and_no_longer_than_it_may() -> None:
    backoff = Backoff(Watch(backoff_s=5, backoff_max_s=30, max_restarts=5))
    assert [backoff.next(float(n)) for n in range(6)] == [5, 10, 20, 30, 30, None]


def test_what_is_long_ago_does_not_count() -> None:
    backoff = Backoff(Watch(backoff_s=1, max_restarts=1, restart_window_s=60))
    assert [backoff.next(at_s) for at_s in (0.0, 59.0, 60.0)] == [1, None, 1]


def test_no_restart_is_allowed_at_all() -> None:
    assert Backoff(Watch(max_restarts=0)).next(0.0) is None


@given(st.integers(0, 50), st.floats(0, 3600), st.floats(0, 86400))
def test_never_more_restarts_than_the_limit_and_never_a_longer_wait(limit: int, first: float, most: float) -> None:
    backoff = Backoff(Watch(max_restarts=limit, backoff_s=first, backoff_max_s=most))
    delays = [backoff.next(1.0) for _ in range(limit + 2)]
    assert delays.count(None) == 2
    waits = [delay for delay in delays if delay is not None]
    assert waits == sorted(waits)
    assert all(0 <= wait <= most for wait in waits)


def hang(*seen: tuple[float, Metrics | None], hang_s: float = 10) -> list[str]:
    pulse = Pulse(hang_s)
    return [pulse.see(at_s, found) for at_s, found in seen]


def test_requests_that_run_without_a_token_hang_and_are_told_once() -> None:
    said = hang((0, BUSY), (5, BUSY), (10, BUSY), (11, BUSY))
    assert said == ["", "", "2 requests run and 1 wait, and no token was counted for 10 s", ""]


def test_a_token_a_prefill_or_a_finish_is_a_sign_of_life() -> None:
    from dataclasses import replace

    signs = [
        replace(BUSY, generation_tokens=11),
        replace(BUSY, prompt_tokens=6),
        replace(BUSY, kv_cache_usage=0.2),
        replace(BUSY, finished={"stop": 1}),
    ]
    for sign in signs:
        assert hang((0, BUSY), (9, sign), (12, sign)) == ["", "", ""]
    # New requests alone are none: they pile up in front of an engine that hangs.
    assert hang((0, BUSY), (9, replace(BUSY, waiting=7)), (12, replace(BUSY, waiting=9)))[-1]


def test_an_idle_server_never_hangs() -> None:
    assert hang((0, IDLE), (100, IDLE), (1000, IDLE)) == ["", "", ""]
    assert hang((0, IDLE), (1000, BUSY), (1009, BUSY)) == ["", "", ""]


def test_a_server_that_does_not_answer_hangs() -> None:
    assert hang((0, IDLE), (5, None), (15, None))[-1] == "it was ready and has not answered /metrics for 15 s"
    assert hang((0, IDLE), (5, None), (9, IDLE), (15, None)) == [""] * 4


def test_it_goes_on_and_hangs_again() -> None:
    pulse = Pulse(10)
    assert [bool(pulse.see(at_s, found)) for at_s, found in ((0, BUSY), (10, BUSY))] == [False, True]
    assert pulse.hangs
    assert pulse.see(12, IDLE) == ""
    assert not pulse.hangs
    assert [bool(pulse.see(at_s, BUSY)) for at_s in (20, 31)] == [False, True]


def test_no_hangs_are_looked_for() -> None:
    assert hang((0, BUSY), (1e6, BUSY), hang_s=0) == ["", ""]
