"""How far a start has come, read from the server's own log lines by the patterns of ``catalog/data/stages.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from dsv4_launch.catalog.read import table


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line that a starting server writes, and the stage that begins with it."""

    key: str
    title: str
    order: int
    expression: re.Pattern[str]
    detail: str
    source: str
    back: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a start is. ``done`` of ``total`` counts inside the stage; ``detail`` is the last thing worth knowing."""

    key: str = "launched"
    title: str = "waiting for the server's first words"
    order: int = -1
    done: int = 0
    total: int = 0
    detail: str = ""
    # Which of several bars of one stage is counted, such as the mode of the CUDA graphs.
    part: str = ""

    @property
    def text(self) -> str:
        """The stage for a person: ``loading weights 12/46``."""
        counted = f" {self.done}/{self.total}" if self.total else ""
        return f"{self.title}{counted}"


_ANOTHER_START = re.compile(r"--- dsv4 \S+ start of ")


@lru_cache
def patterns() -> tuple[Pattern, ...]:
    """Every pattern, in the order of the data file."""
    orders: dict[str, int] = {}
    return tuple(
        Pattern(
            row["key"],
            row["title"],
            orders.setdefault(row["key"], orders[row["beside"]] if "beside" in row else len(orders)),
            re.compile(row["pattern"]),
            row.get("detail", "{}"),
            row["source"],
            row.get("back", False),
        )
        for row in table("stages")["stage"]
    )


def advance(stage: Stage, line: str) -> Stage:
    """The stage after a log line. A start goes forward only: what one rank says late does not take it back.

    But a line with ``back`` does: what was shown before it was a trial (vLLM captures graphs to see what they cost).
    With the supervisor's own line another start begins: all lives of a native service write to one log.
    """
    if _ANOTHER_START.match(line):
        return Stage()
    for pattern in patterns():
        if pattern.order < stage.order and not pattern.back:
            continue
        found = _last(pattern.expression, line)
        if found is None:
            continue
        groups = found.groupdict()
        part = groups.get("part") or ""
        same = pattern.key == stage.key and part == stage.part
        done, total = int(groups.get("done") or 0), int(groups.get("total") or 0)
        if same and (total == 0 or (done <= stage.done and total == stage.total)):
            done, total = stage.done, stage.total
        detail = pattern.detail.format(groups["detail"]) if groups.get("detail") else ""
        stage = Stage(pattern.key, pattern.title, pattern.order, done, total, detail or stage.detail, part)
    return stage


def all_said(stage: Stage) -> bool:
    """Whether a start has no later stage that its log would tell."""
    return stage.order >= patterns()[-1].order


def read(lines: Iterable[str], stage: Stage | None = None) -> Stage:
    """The stage after many lines."""
    stage = stage or Stage()
    for line in lines:
        stage = advance(stage, line)
    return stage


def _last(expression: re.Pattern[str], line: str) -> re.Match[str] | None:
    """The last match: a progress bar rewrites its line with carriage returns, and the engine keeps all of it."""
    matches = list(expression.finditer(line.replace("\r", "\n")))
    return matches[-1] if matches else None
