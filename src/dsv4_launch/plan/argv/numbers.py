"""Numbers as vLLM's command line writes them."""

from __future__ import annotations

from typing import Any

from dsv4_launch.catalog.flag_values import human_int


def integer(value: Any) -> int | None:
    """A whole number from ``8192``, ``"64k"`` (64,000) or ``"1M"`` (1,048,576); None when it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return value if isinstance(value, int) else human_int(value)


def number(value: float) -> str:
    """A fraction the way people write utilisations: 0.90, not 0.9; longer ones in full."""
    short = f"{value:.2f}"
    return short if float(short) == value else repr(value)
