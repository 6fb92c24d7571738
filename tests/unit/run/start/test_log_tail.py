"""A log that is followed: its stage, and how long its last words are waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dsv4_launch.run.start import log_tail
from dsv4_launch.run.start.log_tail import LogTail
from dsv4_launch.run.start.stages import Stage

LISTENS, LAST = "Starting vLLM server on http://127.0.0.1:8000", "INFO:     Application startup complete."


def test_the_last_words_end_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "LAST_WORDS_LOOKS", 1200)  # a minute: this machine may be busy
    reached: list[str] = []
    over = threading.Event()

    def lines() -> Iterator[str]:
        yield LISTENS
        yield LAST
        over.wait(60)  # a log that is followed does not end

    tail = LogTail(lines)
    tail.hear_out(lambda stage, _: reached.append(stage.key))
    assert reached == ["listening", "up"]
    over.set()


def test_the_end_of_a_log_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "LOOK_S", 1000.0)
    tail = LogTail(lambda: [LISTENS])
    tail.hear_out(lambda *_: None)
    assert tail.ended
    assert list(tail.last) == [LISTENS]


@pytest.mark.parametrize("pause_s", [1000.0, 0.001], ids=["silent", "talking"])
def test_last_words_that_never_come_are_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    monkeypatch.setattr(log_tail, "LAST_WORDS_LOOKS", 4)
    over, first_read = threading.Event(), threading.Event()

    def lines() -> Iterator[str]:
        yield LISTENS
        first_read.set()
        while not over.wait(pause_s):
            yield "another line"

    reached: list[Stage] = []
    tail = LogTail(lines)
    assert first_read.wait(60)
    tail.hear_out(lambda stage, _: reached.append(stage))
    over.set()
    assert [stage.key for stage in reached] == ["listening"]
    assert not tail.ended
