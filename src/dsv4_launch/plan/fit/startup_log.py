"""What vLLM's own startup log says about memory."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dsv4_launch.dataclass import dataclass

# The same words in releases 0.20.0 to 0.33.0; newer ones write size and concurrency on one line.
_LINES = {
    "loaded_gib": re.compile(r"Model loading took ([\d.]+) GiB"),
    "available_kv_gib": re.compile(r"Available KV cache memory: (-?[\d.]+) GiB"),
    "tokens": re.compile(r"KV cache size: ([\d,]+) tokens"),
    "max_model_len": re.compile(r"Maximum concurrency for ([\d,]+) tokens per request"),
    "max_concurrency": re.compile(r"Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x"),
    "graphs_gib": re.compile(r"Graph capturing finished in .{1,40}, took (-?[\d.]+) GiB"),
}
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class Logged:
    """What a log says; None where it says nothing. Of several ranks the one with the least room counts."""

    loaded_gib: float | None = None
    available_kv_gib: float | None = None
    tokens: int | None = None
    max_model_len: int | None = None
    max_concurrency: float | None = None
    graphs_gib: float | None = None


def read_log(lines: Iterable[str]) -> Logged:
    """The memory lines of a startup log. Of several servers in one file, all are read: give the log of one."""
    found: dict[str, list[float]] = {}
    for line in lines:
        if "GiB" not in line and "tokens" not in line:
            continue
        for name, pattern in _LINES.items():
            match = pattern.search(line[:_LONGEST_LINE])
            if match and (number := _number(match.group(1))) is not None:
                found.setdefault(name, []).append(number)
    most = {"loaded_gib", "graphs_gib"}
    values = {name: max(seen) if name in most else min(seen) for name, seen in found.items()}
    return Logged(
        loaded_gib=values.get("loaded_gib"),
        available_kv_gib=values.get("available_kv_gib"),
        tokens=_whole(values.get("tokens")),
        max_model_len=_whole(values.get("max_model_len")),
        max_concurrency=values.get("max_concurrency"),
        graphs_gib=values.get("graphs_gib"),
    )


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
