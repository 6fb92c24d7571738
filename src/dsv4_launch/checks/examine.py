"""Judge a plan against the facts of a host: every check once, in the order of what they require."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dsv4_launch.checks import (  # noqa: F401 - they register
    container,
    driver,
    engine,
    fabric,
    gpu,
    health,
    image,
    limits,
    memory,
    model,
    network,
    place,
    storage,
)
from dsv4_launch.checks.base import CHECKS, Check, Context, Finding, NotAsked, Severity, Unknown
from dsv4_launch.checks.selection import placed
from dsv4_launch.errors import Problem, UsageError
from dsv4_launch.facts import HostFacts
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import nearest

Status = Literal["passed", "failed", "ignored", "not checked", "not applicable"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one check. `why`: why it was ignored or not checked. `blocked_by`: the check that it waits for."""

    code: str
    title: str
    severity: Severity
    status: Status
    finding: Finding | None = None
    why: str = ""
    blocked_by: str = ""

    @property
    def message(self) -> str:
        """One sentence: the finding, or why there is no verdict, or the title."""
        if self.finding is not None:
            return self.finding.message
        return f"{self.title}: not checked, {self.why}" if self.status == "not checked" else self.title

    def problem(self) -> Problem:
        """The result as part of an error."""
        where = f"check {self.code}"
        if self.finding is not None:
            return Problem(self.code, self.finding.found, where, self.finding.fix)
        return Problem(self.code, self.message, where, f"See to it, or --skip {self.code}=REASON if you know better.")


def examine(plan: Plan, facts: HostFacts, skips: Mapping[str, str] | None = None) -> tuple[Result, ...]:
    """Every check's result. A check whose requirements have not passed is not checked.

    `skips` maps codes, or families ("GPU*"), to reasons: what such a check finds (or could not read) is recorded as
    ignored, and what requires it goes on. Errors: UsageError for a code that does not exist.
    """
    ignored = expand_skips(skips or {})
    context = Context(placed(plan, facts), facts)
    results: dict[str, Result] = {}
    for one in _in_order(CHECKS):
        results[one.code] = _judge(one, context, ignored.get(one.code), results)
    return tuple(results.values())


def blocking(results: Iterable[Result], *, recorded: bool = False) -> tuple[Result, ...]:
    """The results that forbid a launch: faults, and what could not be read, of severity error.

    A check that waits for another is left out: the other one is the news. Of a host that was `recorded`, perhaps for
    another config, only faults count: a record that does not know a port says nothing against it.
    """
    return tuple(
        result
        for result in results
        if result.severity == "error"
        and (result.status == "failed" or (result.status == "not checked" and not result.blocked_by and not recorded))
    )


def warnings(results: Iterable[Result]) -> tuple[Result, ...]:
    """The faults that do not forbid a launch, those that were ignored among them."""
    return tuple(
        result
        for result in results
        if (result.status == "failed" and result.severity == "warning")
        or (result.status == "ignored" and result.finding is not None)
    )


def parse_skips(texts: Iterable[str]) -> dict[str, str]:
    """`CODE=REASON` texts as a mapping. Errors: UsageError for a text without a reason."""
    skips = {}
    for text in texts:
        code, _, reason = text.partition("=")
        if not code.strip() or not reason.strip():
            fix = "Write --skip CODE=REASON; the reason stands in every report."
            raise UsageError(Problem("usage", f"--skip {text!r} gives no reason.", "--skip", fix))
        skips[code.strip().upper()] = reason.strip()
    return skips


def expand_skips(skips: Mapping[str, str]) -> dict[str, str]:
    """Reasons by code; a code's own reason wins over that of its family. Errors: UsageError for an unknown code."""
    expanded: dict[str, str] = {}
    for asked, reason in sorted(skips.items(), key=lambda item: not item[0].endswith("*")):
        family = asked.removesuffix("*")
        codes = [code for code in CHECKS if code == asked or (family != asked and code.startswith(family))]
        if not codes or not family:
            guess = nearest(asked, CHECKS)
            fix = f"Did you mean {guess}?" if guess else "`dsv4 doctor` lists the checks."
            raise UsageError(Problem("usage", f"There is no check {asked}.", "--skip", fix))
        expanded |= dict.fromkeys(codes, reason)
    return expanded


def _judge(one: Check, context: Context, reason: str | None, results: Mapping[str, Result]) -> Result:
    def result(status: Status, finding: Finding | None = None, why: str = "", blocked_by: str = "") -> Result:
        return Result(one.code, one.title, one.severity, status, finding, why, blocked_by)

    if not one.applies(context.plan):
        return result("not applicable")
    for code in one.requires:
        if results[code].status in ("failed", "not checked"):
            return result("not checked", why=f"{code} has not passed", blocked_by=code)
    try:
        finding = one.judge(context)
    except NotAsked:
        return result("not applicable")
    except Unknown as unknown:
        if reason is not None:
            return result("ignored", why=reason)
        return Result(one.code, one.title, one.unread, "not checked", why=str(unknown))
    if finding is None:
        return result("passed")
    return result("failed", finding) if reason is None else result("ignored", finding, reason)


def _in_order(checks: Mapping[str, Check]) -> list[Check]:
    """Each check right after what it requires, else as registered, so that families stay together.

    A requirement that does not exist, or a circle, is a bug of ours.
    """
    ordered: dict[str, Check] = {}

    def put(code: str, above: tuple[str, ...]) -> None:
        if code in above or code not in checks:
            raise ValueError(f"{' requires '.join((*above, code))}, which is a circle or does not exist")
        for required in checks[code].requires:
            if required not in ordered:
                put(required, (*above, code))
        ordered.setdefault(code, checks[code])

    for code in checks:
        put(code, ())
    return list(ordered.values())
