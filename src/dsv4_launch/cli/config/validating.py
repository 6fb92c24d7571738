"""`dsv4 validate`: every problem of every config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dsv4_launch.cli import options, show
from dsv4_launch.cli.configs import expand, read
from dsv4_launch.cli.fact_files import read_facts
from dsv4_launch.cli.quick import build_config_schema
from dsv4_launch.config.load import load, load_rest
from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import ImpossibleError, InputError, Problem, UsageError, most_basic
from dsv4_launch.plan.repair import Change
from dsv4_launch.plan.resolve import examine_config, resolve_to_fit
from dsv4_launch.values import canonical_json, counted

if TYPE_CHECKING:
    from dsv4_launch.facts import HostFacts
    from dsv4_launch.plan.types import Plan
    from dsv4_launch.run.deep_check import DeepVerdict, Where


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in one config."""

    file: str
    ok: bool
    exit_code: int
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    # What --fix changed in the file before it was judged.
    changes: tuple[Change, ...] = ()
    # What the real vLLM said, when it was asked.
    deep: DeepVerdict | None = None


def validate_all(
    arguments: Sequence[str],
    overrides: Sequence[str],
    output: options.CheckOutput,
    *,
    fix: bool = False,
    facts: str | None = None,
    deep: Where | None = None,
) -> int:
    """Judge every config that the arguments name, print the verdicts, return the exit code.

    With ``fix`` each file is repaired first. With ``facts`` each is judged on that recorded host too, with ``deep`` by
    the vLLM that is there.

    Raises UsageError for ``fix`` with overrides (those are in no file), InputError for what is no facts file.
    """
    if fix and overrides:
        raise UsageError("--fix mends files, and --set is in none.", fix="Leave one of the two out.")
    host = read_facts(facts) if facts else None
    build_config_schema()
    verdicts: list[Verdict] = []
    for argument in arguments:
        try:
            found = expand([argument])
        except InputError as error:
            verdicts.append(Verdict(argument, False, error.exit_code, error.problems, ()))
            continue
        seen = {verdict.file for verdict in verdicts}
        verdicts += [
            _judge(path, shown, overrides, host, fix=fix, deep=deep) for path, shown in found if shown not in seen
        ]
    exit_code = most_basic(verdict.exit_code for verdict in verdicts)
    _PRINTERS[output](verdicts, exit_code)
    return exit_code


def _judge(
    path: Path, shown: str, overrides: Sequence[str], host: HostFacts | None, *, fix: bool, deep: Where | None
) -> Verdict:
    changes: tuple[Change, ...] = ()
    try:
        if fix:
            changes = _fixed(path, shown)
        loaded = load(read(path, shown), shown, overrides)
        plan = resolve_to_fit(loaded)
    except (InputError, ImpossibleError) as error:
        more = _rest(path, shown, overrides) if isinstance(error, InputError) else ()
        told = tuple(dict.fromkeys((*error.problems, *more)))
        return Verdict(shown, False, error.exit_code, told, (), changes)
    warnings = tuple(
        Problem(n.code or "notice", f"{n.subject}.", n.source or shown, f"{n.why}.")
        for n in plan.notices
        if n.kind == "warning"
    )
    faults, doubts = _on_host(plan, host, shown) if host is not None else ((), ())
    verdict = Verdict(shown, not faults, 5 if faults else 0, faults, (*warnings, *doubts), changes)
    return _asked(verdict, plan, deep) if deep is not None else verdict


def _rest(path: Path, shown: str, overrides: Sequence[str]) -> tuple[Problem, ...]:
    """What is wrong with the values that are of the right type, when others are not: nobody wants to hear it in turns.

    Of a value that was left out nothing is said: `where` would be the table around it.
    """
    rest = load_rest(read(path, shown), shown, overrides)
    if rest is None:
        return ()
    _, problems = examine_config(rest)
    left_out = {"version-missing"} if {("vllm",)} & (rest.origins.lines.keys() | rest.origins.overridden) else set()
    return tuple(
        problem
        for problem in problems
        if problem.code not in left_out and not problem.message.split(":")[0].endswith("is missing")
    )


def _asked(verdict: Verdict, plan: Plan, where: Where) -> Verdict:
    """The verdict with what the real vLLM said; a config that it refuses is not valid."""
    import os

    from dsv4_launch.run.deep_check import deep_check

    show.note(f"{verdict.file}: asking the vLLM of {where}")
    said = deep_check(plan, where, os.environ, verdict.file)
    return replace(
        verdict,
        ok=verdict.ok and said.ok,
        exit_code=most_basic((verdict.exit_code, said.exit_code)),
        errors=(*verdict.errors, *said.errors),
        warnings=(*verdict.warnings, *said.warnings),
        deep=said,
    )


def _on_host(plan: Plan, host: HostFacts, shown: str) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """What of a recorded host forbids the plan, and what should be known of it; each with the config it is about."""
    from dsv4_launch.checks.examine import blocking, examine, warnings

    results = examine(plan, host)
    unknown = [one.code for one in results if one.status == "not checked" and not one.blocked_by]
    doubts = [replace(one.problem(), where=shown) for one in warnings(results)]
    if unknown:
        said = f"The recorded host does not tell whether {', '.join(unknown)} would pass."
        doubts.append(
            Problem("not-checked", said, shown, "Record it for this config: `dsv4 doctor CONFIG --save FILE`.")
        )
    return tuple(replace(one.problem(), where=shown) for one in blocking(results, recorded=True)), tuple(doubts)


def _fixed(path: Path, shown: str) -> tuple[Change, ...]:
    from dsv4_launch.cli.config.fixing import fix_file

    return fix_file(path, shown)


def _human(verdicts: Sequence[Verdict], _exit_code: int) -> None:
    for verdict in verdicts:
        for change in verdict.changes:
            show.say(show.clean(f"{verdict.file}: {change.path}: {_value(change.old)} -> {_value(change.new)}"))
            show.note(show.clean(f"  {change.code}: {change.why}"))
        for warning in verdict.warnings:
            show.problem(warning, "warning")
        for error in verdict.errors:
            show.problem(error)
        if verdict.ok:
            taken = f", and vLLM {verdict.deep.vllm} takes it" if verdict.deep else ""
            show.say(f"{verdict.file}: valid{taken}")
    bad = sum(not verdict.ok for verdict in verdicts)
    if bad:
        errors = sum(len(verdict.errors) for verdict in verdicts)
        show.note(f"{bad} of {counted(len(verdicts), 'config')} not valid, {counted(errors, 'problem')}")


def _value(value: object) -> str:
    return "(none)" if value is None else canonical_json(value)


def _json(verdicts: Sequence[Verdict], exit_code: int) -> None:
    errors = [error for verdict in verdicts for error in verdict.errors]
    show.envelope("validate", exit_code, {"files": verdicts}, errors)


def _github(verdicts: Sequence[Verdict], _exit_code: int) -> None:
    for verdict in verdicts:
        for level, problems in (("error", verdict.errors), ("warning", verdict.warnings)):
            for problem in problems:
                show.say(_annotation(level, problem, verdict.file))


def _annotation(level: str, problem: Problem, file: str) -> str:
    name, colon, line = problem.where.rpartition(":")
    at = (name, line) if colon and line.isdigit() else (file, "1")
    text = f"{problem.message} {problem.fix}".strip()
    return f"::{level} file={_property(at[0])},line={at[1]},title={_property(problem.code)}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


_PRINTERS = {
    options.CheckOutput.human: _human,
    options.CheckOutput.json: _json,
    options.CheckOutput.github: _github,
}
