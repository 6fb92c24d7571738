from __future__ import annotations

import pytest

from dsv4_launch.plan.argv.numbers import integer, number


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (8192, 8192),
        ("8192", 8192),
        ("64k", 64_000),
        ("64K", 65_536),
        ("1m", 1_000_000),
        ("1M", 1_048_576),
        ("1.5k", 1_500),
        ("2G", 2**31),
        ("0.5M", None),
        ("1.5", None),
        ("12q", None),
        ("auto", None),
        ("", None),
        (True, None),
        (0.9, None),
    ],
)
def test_whole_numbers_as_vllm_reads_them(text, want):
    assert integer(text) == want


@pytest.mark.parametrize(("value", "want"), [(0.9, "0.90"), (0.95, "0.95"), (1.0, "1.00"), (0.925, "0.925")])
def test_fractions_as_the_documented_command_writes_them(value, want):
    assert number(value) == want
    assert float(number(value)) == value
