"""Signals that end a process: heard once, held, not heard."""

from __future__ import annotations

import signal

import pytest

from dsv4_launch.run.interrupts import TOLD_TWICE_S, _Once


def test_an_end_that_is_told_twice_is_heard_once_and_a_later_one_again() -> None:
    now = [0.0]
    once = _Once(lambda: now[0])
    with pytest.raises(KeyboardInterrupt):
        once.end(signal.SIGHUP, None)
    now[0] += TOLD_TWICE_S / 2
    once.end(signal.SIGHUP, None)  # a closed terminal is told by the kernel and by its shell
    once.end(signal.SIGTERM, None)
    now[0] += 2 * TOLD_TWICE_S
    with pytest.raises(KeyboardInterrupt):
        once.end(signal.SIGTERM, None)
