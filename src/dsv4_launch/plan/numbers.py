"""Numbers as vLLM's command line writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def integer(value: Any) -> int | None:
    """A whole number from ``8192``, ``"64k"`` (64,000) or ``"1M"`` (1,048,576); None when it is not one.

    Source: vllm 0.20.0 engine/arg_utils.py, human_readable_int. A binary unit takes no fraction there.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if not isinstance(value, str) or not value:
        return None
    digits, unit = (value[:-1], value[-1]) if value[-1].isalpha() else (value, "")
    if not digits.replace(".", "", 1).isdigit() or (unit not in _DECIMAL and "." in digits):
        return None
    if unit and unit not in _DECIMAL and unit not in _BINARY:
        return None
    return int(Decimal(digits) * (_DECIMAL.get(unit) or _BINARY.get(unit) or 1))


def number(value: float) -> str:
    """A fraction the way people write utilisations: 0.90, not 0.9; longer ones in full."""
    short = f"{value:.2f}"
    return short if float(short) == value else repr(value)
