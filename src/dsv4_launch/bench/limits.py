"""``ttft=500,tpot=50`` as a service level."""

from __future__ import annotations

import math

from dsv4_launch.bench.results import Slo
from dsv4_launch.errors import UsageError
from dsv4_launch.values import listed

_NAMES = {"ttft": "ttft_ms", "tpot": "tpot_ms", "e2e": "e2e_ms"}


def parse_slo(text: str | None) -> Slo:
    """The limits in ms; none for None. Raises UsageError."""
    limits: dict[str, float] = {}
    for word in (text or "").split(",") if text is not None else ():
        name, _, value = word.strip().partition("=")
        try:
            limit = float(value.removesuffix("ms"))
        except ValueError:
            limit = math.nan
        if name not in _NAMES or not 0 < limit < math.inf:
            raise UsageError(
                f"--slo {text}: {word or 'nothing'} is no limit.",
                fix=f"{listed(_NAMES)} in ms, as in ttft=500,tpot=50.",
            )
        limits[_NAMES[name]] = limit
    return Slo(**limits)
