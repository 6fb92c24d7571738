"""What a change is said to be, before it is made."""

from __future__ import annotations

import pytest

from dsv4_launch.cli.apply import applying
from dsv4_launch.cli.configs import load_config
from dsv4_launch.plan.compare import compare
from dsv4_launch.plan.resolve import resolve


@pytest.mark.parametrize(("overrides", "said"), [(["server.port=8001"], "1 difference "), ([], "0 differences ")])
def test_one_difference_is_one(overrides: list[str], said: str) -> None:
    plan, wanted = resolve(load_config(None)), resolve(load_config(None, overrides))
    told: list[str] = []
    chosen = applying.chosen(None, None, "smoke", None, True, False, True, False, False)
    applying._show(wanted, compare(plan, wanted), None, chosen, told.append)
    assert told[0].startswith(f"flash-b200: {said}")
