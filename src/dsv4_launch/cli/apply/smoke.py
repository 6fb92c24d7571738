"""The test after a change: by the smoke suite, or by two completions where its client is not installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsv4_launch.cli import show

if TYPE_CHECKING:
    from dsv4_launch.plan.types import Plan

# Said of a server, not of a change: vLLM's key guards /v1 only, before as after.
_NOT_OURS = {"key": "it tells nothing about the change; `dsv4 smoke` tests it"}


def skips(words: Sequence[str]) -> dict[str, str]:
    """Checks of the suite that are left out, with the reason of each. Raises UsageError."""
    from dsv4_launch.cli.service.smoking import parse_skips

    return {**_NOT_OURS, **parse_skips(words, "--skip-smoke")}


def smoke(plan: Plan, how: str, skipped: Sequence[str]) -> str:
    """Test a service that is ready; returns what was seen, in words. Raises SmokeError."""
    from importlib.util import find_spec

    from dsv4_launch.errors import SmokeError
    from dsv4_launch.run.smoke.short import smoke as ask_twice
    from dsv4_launch.run.smoke.suite import Wanted, problems, smoke_test
    from dsv4_launch.run.world import api_key

    if how == "none":
        return "It was not tested (--smoke none)."
    key, model = api_key(plan, os.environ), plan.served_model_names[0]
    without = ""
    if how == "suite":
        if find_spec("openai"):
            show.note(f"{plan.name} is ready; running the smoke suite")
            asked = Wanted(model, True if plan.rehearsal else None, skips=skips(skipped))
            report = smoke_test(plan.base_url, key, asked)
            failed = problems(report)
            if failed:
                raise SmokeError(*failed)
            return f"Smoke suite: {report.count('pass')} passed, {report.count('not applicable')} do not apply."
        without = " (the smoke suite needs the extra `smoke`, which is not installed)"
    tested = ask_twice(plan.base_url, model, key)
    return f"Two completions answered, in {tested.completion_s + tested.stream_s:.1f} s{without}."
