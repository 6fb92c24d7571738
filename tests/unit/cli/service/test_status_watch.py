"""`dsv4 status --watch`: a view of many engines takes no more of a core than one of few."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.cli.service.status_watch import MOST_SHARE, ROUND_S, pause_s


@given(st.floats(0, 60))
def test_rounds_take_a_small_share_of_a_core(spent_s: float) -> None:
    pause = pause_s(spent_s)
    assert pause >= ROUND_S
    assert spent_s <= (MOST_SHARE + 1e-9) * (spent_s + pause)


def test_a_quick_round_comes_every_two_seconds() -> None:
    assert pause_s(0.01) == ROUND_S
