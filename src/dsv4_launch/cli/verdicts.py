"""How the results of checks are printed: faults first, each with what to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsv4_launch.cli import show

if TYPE_CHECKING:
    from dsv4_launch.checks.examine import Result

_STYLES = {"FAILED": "bold red", "warning": "yellow", "unknown": "magenta", "skipped": "cyan", "ok": "green"}


def mark(result: Result) -> str:
    """What became of a check, in one word. A fault that forbids nothing is no failure."""
    if result.status == "failed":
        return "FAILED" if result.severity == "error" else "warning"
    return {"passed": "ok", "ignored": "skipped", "not checked": "unknown"}[result.status]


def worst_first(results: Sequence[Result]) -> list[Result]:
    """Those that apply: faults, what is unknown and forbids, warnings, what else is unknown, skipped, well."""
    order = ["FAILED", "unknown error", "warning", "skipped", "unknown warning", "ok"]

    def rank(result: Result) -> int:
        word = mark(result)
        return order.index(f"{word} {result.severity}" if word == "unknown" else word)

    return sorted((result for result in results if result.status != "not applicable"), key=rank)


def said(result: Result) -> str:
    """What a result says, without its mark and its fix."""
    why = f" ({result.why})" if result.status == "ignored" else ""
    return show.clean(result.finding.found if result.finding is not None else result.message) + why


def line(result: Result) -> str:
    """A result on one line."""
    return f"  {mark(result):<8} {result.code:<7} {said(result)}"


def tell(results: Sequence[Result]) -> None:
    """Print every result: a table on a terminal, lines elsewhere."""
    rows = [result for result in worst_first(results) if not result.blocked_by]
    waiting = [result.code for result in worst_first(results) if result.blocked_by]
    if sys.stdout.isatty():
        _table(rows)
        rows = []
    for result in rows:
        show.say(line(result))
        if result.finding is not None:
            show.say(f"{'':19}{show.clean(result.finding.fix)}")
    if waiting:
        show.say(f"Not looked at until others are well: {', '.join(waiting)}")


def _table(rows: Sequence[Result]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for options in ({"no_wrap": True}, {"no_wrap": True}, {}):
        table.add_column(**options)  # type: ignore[arg-type]
    for result in rows:
        text = Text(said(result), style="" if result.finding is not None else "dim")
        if result.finding is not None:
            text.append(f"\n→ {show.clean(result.finding.fix)}", style="italic")
        table.add_row(Text(mark(result), style=_STYLES[mark(result)]), result.code, text)
    console = show.console()
    console.soft_wrap = False
    console.print(table)
