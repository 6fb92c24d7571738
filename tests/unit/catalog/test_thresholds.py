"""What checks compare with is data that says why, and where nobody measured it, that it is judgement."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest

from dsv4_launch.catalog.read import table
from dsv4_launch.checks.base import CHECKS
from dsv4_launch.checks.examine import examine as _registers  # noqa: F401 - the import registers the checks

ROWS = [pytest.param(name, row, id=name) for name, row in table("thresholds").items()]
USED = "\n".join(item.read_text("utf-8") for item in files("dsv4_launch.checks").iterdir() if item.name.endswith(".py"))


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_threshold_says_why_where_from_and_for_which_check(name: str, row: dict[str, Any]) -> None:
    assert set(row) == {"value", "why", "checks", "source"}
    assert row["why"].endswith(".")
    assert row["source"] == "judgement" or re.match(r"https://\S+$|vllm \d+\.\d+\.\d+ \S+\.py", row["source"])
    assert set(row["checks"]) <= set(CHECKS)
    assert f'("{name}")' in USED


def test_no_check_holds_a_number_of_bytes_of_its_own() -> None:
    assert not re.findall(r"^[A-Z_]+ = \d+ \* G", USED, re.M)
