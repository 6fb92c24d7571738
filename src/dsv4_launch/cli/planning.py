"""`dsv4 plan`: a plan for a person to read."""

from __future__ import annotations

from dsv4_launch.cli import show
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import Word, shell_word


def show_plan(plan: Plan, *, explain: bool) -> None:
    """Print what will run; with ``explain`` the reason and source of every value, and every deviation."""
    from rich.table import Table
    from rich.text import Text

    console = show.console()
    for name, text in _summary(plan):
        console.print(Text(f"{name:<9} ", style="bold"), Text(text), sep="", end="\n")
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("argument", "value", *(("why", "source") if explain else ())):
        table.add_column(column, overflow="fold")
    rows = [(a.name, " ".join(_text(w) for w in a.argv), a.why, a.source) for a in plan.arguments]
    rows += [
        (v.name, "from the environment" if v.value is None else _text(v.value), v.why, v.source)
        for v in plan.environment
    ]
    for row in rows:
        table.add_row(*map(Text, row if explain else row[:2]))
    console.print(table)
    notices = [n for n in plan.notices if explain or n.kind != "deviation"]
    for notice in notices:
        where = f" ({notice.source})" if notice.source and explain else ""
        console.print(Text(f"\n{notice.kind}: {notice.subject}\n  {notice.why}{where}"))


def _summary(plan: Plan) -> list[tuple[str, str]]:
    layout = " ".join(f"{name} {size}" for name, size in plan.parallel.items() if name != "expert")
    gpus = f"{plan.gpus.count} × {', '.join(plan.gpus.names)}" if plan.gpus.count else "none: a rehearsal on the CPU"
    return [
        ("name", plan.name),
        (
            "model",
            f"{plan.model.repo or _text(plan.model.served)}"
            + (f" at {plan.model.revision}" if plan.model.revision else ""),
        ),
        ("vllm", plan.vllm),
        ("gpus", gpus),
        ("parallel", layout + (" expert" if plan.parallel["expert"] else "")),
        (
            "runs",
            f"docker image {plan.container.image}"
            if plan.target == "docker"
            else f"natively: {_text(plan.native.executable)}",
        ),
        ("endpoint", f"{plan.base_url}/v1"),
    ]


def _text(word: Word) -> str:
    return word if isinstance(word, str) else shell_word(word).strip('"')
