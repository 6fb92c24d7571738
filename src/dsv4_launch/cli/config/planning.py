"""`dsv4 plan`: a plan for a person to read."""

from __future__ import annotations

from dsv4_launch.cli import show
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import Word, shell_word


def show_plan(plan: Plan, *, explain: bool) -> None:
    """Print what will run; with ``explain`` the reason and source of every value, and every deviation from the page."""
    from rich.text import Text

    console = show.console()

    def line(text: str, style: str = "", indent: int = 0) -> None:
        console.print(Text(" " * indent + show.clean(text), style=style))

    for name, text in [*_summary(plan), *_memory(plan)]:
        console.print(Text.assemble((f"{name:<9} ", "bold"), show.clean(text)))
    for title, rows in (("arguments", _arguments(plan)), ("environment", _environment(plan))):
        line("")
        line(title, "bold")
        for words, why, source in rows:
            line(words, indent=2)
            if explain:
                line(f"{why} ({source})" if source else why, "dim", indent=6)
    for kind, title in _NOTICES.items():
        notices = [notice for notice in plan.notices if notice.kind == kind]
        if not notices or (kind == "deviation" and not explain):
            continue
        line("")
        line(title, "bold")
        for notice in notices:
            line(f"{notice.code}: {notice.subject}" if notice.code else notice.subject, indent=2)
            line(f"{notice.why} ({notice.source})" if notice.source else notice.why, "dim", indent=6)


_NOTICES = {
    "warning": "warnings",
    "override": "overridden by a rule",
    "deviation": "where the container differs from the documented page",
}


def _memory(plan: Plan) -> list[tuple[str, str]]:
    from dsv4_launch.cli.fit.tables import summary
    from dsv4_launch.plan.fit.planner import fit

    found = fit(plan)
    return [] if found is None else summary(found)


def _arguments(plan: Plan) -> list[tuple[str, str, str]]:
    return [(" ".join(map(_text, a.argv)), a.why, a.source) for a in plan.arguments]


def _environment(plan: Plan) -> list[tuple[str, str, str]]:
    return [
        (f"{v.name}={_text(v.value)}" if v.value is not None else f"{v.name} from {v.env_from}", v.why, v.source)
        for v in plan.environment
    ]


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
