from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.errors import UsageError
from dsv4_launch.run.logs.filter import at_least, later, level_of, matching, since

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LOG = [
    "before anything",
    "(APIServer pid=7) INFO 11-25 16:07:34 [api_server.py:1] hello",
    "(EngineCore pid=9) WARNING 11-25 16:07:35 [core.py:1] careful",
    "(EngineCore pid=9) and what belongs to it",
    "(APIServer pid=7) still fine",
    "INFO:     127.0.0.1:1 - GET /health",
    "(EngineCore pid=9) ERROR 11-25 16:07:36 [core.py:1] bad",
    "Traceback (most recent call last):",
    '  File "x.py", line 1',
    "ValueError: no",
    "(APIServer pid=7) DEBUG 11-25 16:07:37 [x.py:1] fine print",
]


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("1d2h3m4s", 93_784)],
)
def test_a_duration_is_counted_back(text: str, ago: int) -> None:
    assert since(text, NOW) == NOW - timedelta(seconds=ago)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2026-02-28T10:00:00Z", datetime(2026, 2, 28, 10, tzinfo=UTC)),
        ("2026-02-28T10:00:00+02:00", datetime(2026, 2, 28, 8, tzinfo=UTC)),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str, expected: datetime) -> None:
    assert since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "10", "m", "-5m", "10m5h", "999999999d", "9999-99-99"])
def test_what_is_no_time_is_a_wrong_command_line(text: str) -> None:
    with pytest.raises(UsageError):
        since(text, NOW)


def test_a_line_without_a_level_goes_with_the_one_before_it_of_its_process() -> None:
    assert list(at_least(LOG, "WARNING")) == [LOG[2], LOG[3], LOG[6], LOG[7], LOG[8], LOG[9]]
    assert list(at_least(LOG, "ERROR")) == LOG[6:10]
    assert list(at_least(LOG, "DEBUG")) == LOG
    assert list(at_least(LOG, "INFO")) == LOG[:-1]


def test_levels_are_read_in_any_case_and_by_their_other_names() -> None:
    assert (level_of("warn"), level_of("Error"), level_of("FATAL")) == ("WARNING", "ERROR", "CRITICAL")
    with pytest.raises(UsageError):
        level_of("loud")


def test_later_lines_and_what_belongs_to_them() -> None:
    now = datetime(2026, 11, 25, 18).astimezone()
    start = datetime(2026, 11, 25, 16, 7, 36).astimezone()
    assert list(later(LOG, start, now)) == LOG[6:]
    assert list(later(LOG, now, now)) == []


def test_vllm_prints_no_year_so_it_is_the_last_one_that_is_not_in_the_future() -> None:
    line = "INFO 12-31 23:59:59 [x.py:1] old year"
    now = datetime(2027, 1, 1, 0, 0, 10).astimezone()
    assert list(later([line], now - timedelta(minutes=1), now)) == [line]
    leap = "INFO 02-29 10:00:00 [x.py:1] leap day"
    assert list(later([leap], datetime(2024, 2, 1).astimezone(), datetime(2026, 1, 1).astimezone())) == [leap]


def test_our_own_lines_carry_a_whole_time() -> None:
    line = "--- dsv4 2026-11-25T16:07:36.123Z start of x"
    assert list(later([line], datetime(2026, 11, 25, 16, tzinfo=UTC), NOW)) == [line]
    assert list(later([line], datetime(2026, 11, 25, 17, tzinfo=UTC), NOW)) == []


@given(st.lists(st.text(max_size=60), max_size=20))
def test_any_lines_are_taken(lines: list[str]) -> None:
    kept = list(at_least(lines, "ERROR"))
    assert [line for line in lines if line in kept] or not kept
    list(later(lines, NOW - timedelta(days=1), NOW))


def test_a_pattern_is_searched_for() -> None:
    assert list(matching(LOG, r"\bbad$|careful")) == [LOG[2], LOG[6]]


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<", "a{99999999999}"])
def test_what_is_no_pattern_is_a_wrong_command_line(pattern: str) -> None:
    with pytest.raises(UsageError):
        list(matching(LOG, pattern))


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_hostile_pattern_is_ended(pattern: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(matching(["a" * 50_000 + "!"], pattern, match_s=0.2))
    assert "takes longer" in caught.value.problems[0].message
