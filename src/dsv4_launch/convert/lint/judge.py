"""What is wrong with a pasted launch: what docker or vLLM would refuse, what is dangerous or slow, known faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.lint import Severity, fault_kinds, lint_rules
from dsv4_launch.catalog.rules import applies
from dsv4_launch.convert.imports.importer import Imported, import_launch
from dsv4_launch.convert.lint.finding import Finding, found_fault, place_of
from dsv4_launch.convert.lint.placement import placement
from dsv4_launch.convert.lint.settled import facts_of, keeps_caches, run_values, settings_of
from dsv4_launch.convert.lint.spoken import for_a_command
from dsv4_launch.convert.lint.text import environment_findings, refused_findings, text_findings
from dsv4_launch.convert.read.find import argv_launch, find_launches
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.words import Span
from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import InputError
from dsv4_launch.plan.advise import matching
from dsv4_launch.plan.conditions import given_holds, on_another, values_of
from dsv4_launch.plan.constrain import broken
from dsv4_launch.plan.settings import Setting
from dsv4_launch.values import nearest

MAX_BYTES = 1_000_000
# One of each kind that serves the model: what holds on all of them holds wherever it runs.
_KINDS = ("b200", "h200", "rtx-pro-6000")
_OF_A_RELEASE = frozenset({"unknown-parser", "gpu-unsupported", "version-too-old"})
_GRAMMAR = frozenset({"unrecognized", "value-missing", "value-not-taken", "ambiguous", "model-not-first"})
_FORMS = ("is not JSON", "is not a number", "is not a whole number", "is not true or false", "It takes ")
_SEVERITIES = {"error": 0, "warning": 1, "info": 2}
# What two sources say of one cause: where the first is found, the second is left out.
_SAME = (
    ("D04", "kv-cache-needs-fp8"),
    ("kv-cache-auto", "kv-cache-needs-fp8"),
    ("parser-unknown", "unknown-parser"),
    ("gpus-for-the-world", "layout"),
)
_REFUSED = frozenset({"value-refused", "field-refused"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """One launch, judged: findings worst first."""

    launch: Launch
    imported: Imported
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == "error")


def lint(text: str, vllm: str | None = None, gpu: str | None = None) -> tuple[Verdict, ...]:
    """Every launch of a text, judged. Raises InputError when there is none, or an option is not known."""
    if len(text) > MAX_BYTES:
        raise InputError(f"The text has {len(text):,} characters; {MAX_BYTES:,} is the limit.", where="text")
    known_gpu(gpu)
    launches = find_launches(text)
    if not launches:
        raise InputError(
            "No launch of vLLM is found in the text.",
            where="text",
            fix="It holds a `docker run`, a `vllm serve`, a compose file, a Kubernetes manifest or a Dockerfile?",
            code="no-launch",
        )
    return tuple(judge(launch, text, vllm, gpu) for launch in launches)


def lint_argv(words: Sequence[str], vllm: str | None = None, gpu: str | None = None) -> Verdict:
    """The words behind ``vllm serve``, judged."""
    known_gpu(gpu)
    return judge(argv_launch(words), "", vllm, gpu)


def known_gpu(gpu: str | None) -> None:
    """Raises InputError for a GPU type that the catalog has not."""
    if gpu is not None and gpu not in gpus():
        meant = nearest(gpu, gpus())
        fix = f"Did you mean {meant}? " if meant else ""
        raise InputError(
            f"gpu {gpu!r} is not in the catalog.", fix=f"{fix}Known: {', '.join(gpus())}.", code="gpu-unknown"
        )


def judge(launch: Launch, text: str, vllm: str | None = None, gpu: str | None = None) -> Verdict:
    """One launch, judged. Never raises for any text."""
    imported = import_launch(launch, text, vllm, gpu)
    settled = settings_of(imported)
    if "container" in imported.data and keeps_caches(launch):
        settled["container.caches"] = Setting(True, "", "")
    facts = facts_of(imported)
    if launch.own_program:
        return Verdict(launch, imported, _sorted([*text_findings(launch, imported)]))
    found = [*text_findings(launch, imported), *refused_findings(imported), *environment_findings(launch, imported)]
    values = _values(settled, facts)
    found += _rules({**values, **run_values(launch, imported)}, facts, launch, imported)
    if imported.variant is not None:
        spoken = partial(for_a_command, launch=launch, release=imported.engine.release.table)
        for f in _known_model(values, facts, launch, imported):
            found.append(Finding(f.code, f.severity, spoken(f.why), spoken(f.fix), f.span, f.advisory))
    found += [found_fault(fault) for fault in placement(launch, imported, gpu)]
    if imported.engine.release.custom:
        found = [_softened(finding) for finding in found]
    return Verdict(launch, imported, _sorted(found))


def _softened(finding: Finding) -> Finding:
    """Of a build that is no release it is not known what it has beyond the nearest one."""
    if finding.severity != "error" or (finding.code in fault_kinds() and finding.code not in _OF_A_RELEASE):
        return finding
    if finding.code in _GRAMMAR or (finding.code == "value-refused" and any(p in finding.why for p in _FORMS)):
        return finding
    why = f"{finding.why} (so it is in the nearest release; this build is none, and may differ)"
    return replace(finding, severity="warning", why=why)


def _sorted(found: Sequence[Finding]) -> tuple[Finding, ...]:
    codes = {finding.code for finding in found}
    hidden = {second for first, second in _SAME if first in codes}
    ranges = {finding.span for finding in found if finding.code.endswith("-range")}
    # A known failure says more of the same words than the refusal that it ends in.
    ranges |= {finding.span for finding in found if finding.advisory and finding.severity == "error"}
    kept: dict[tuple[str, Span], Finding] = {}
    for finding in found:
        if finding.code not in hidden and not (finding.code in _REFUSED and finding.span in ranges):
            kept.setdefault((finding.code, finding.span), finding)
    return tuple(sorted(kept.values(), key=lambda f: (_SEVERITIES[f.severity], f.span[0], f.code)))


def _values(settled: Mapping[str, Setting], facts: Mapping[str, str]) -> dict[str, Any]:
    try:
        return values_of(settled, facts)
    except (TypeError, ValueError):  # sizes that are no numbers
        return {path: setting.value for path, setting in settled.items()}


def _rules(
    values: Mapping[str, Any], facts: Mapping[str, str], launch: Launch, imported: Imported
) -> Iterator[Finding]:
    for rule in lint_rules():
        if applies(rule.when, facts) and given_holds(rule.given, values):
            yield Finding(rule.code, rule.severity, rule.why, rule.fix, place_of(rule.at, launch, imported))


def _known_model(
    values: Mapping[str, Any], facts: Mapping[str, str], launch: Launch, imported: Imported
) -> Iterator[Finding]:
    """Constraints and advisories: what is known of this model, in a config's words.

    Of an unknown GPU only what holds on every kind.
    """
    if imported.gpu_told:
        yield from _holding(values, facts, launch, imported)
        return
    found: dict[Finding, None] | None = None
    for gpu in _KINDS:
        there = {**facts, "gpu": gpu, "arch": gpus()[gpu].arch}
        here = dict.fromkeys(_holding(on_another(gpu, values), there, launch, imported))
        found = here if found is None else {finding: None for finding in found if finding in here}
        if not found:
            return
    yield from found or ()


def _holding(
    values: Mapping[str, Any], facts: Mapping[str, str], launch: Launch, imported: Imported
) -> Iterator[Finding]:
    # Of a command with unknown words nothing is said that one of them could change.
    unsure = imported.engine.open_ended or any(not option.name for option in launch.options)
    for problem in broken(values, facts, lambda path: ".".join(map(str, path))):
        if not unsure or problem.where in imported.at:
            place = place_of(problem.where, launch, imported)
            yield Finding(problem.code, "error", problem.message, problem.fix, place)
    for match in matching(values, facts):
        path, advisory = ".".join(match.path), match.advisory
        if not unsure or path in imported.at:
            why = f"{advisory.title}. {advisory.cause}"
            place = place_of(path, launch, imported)
            severity: Severity = "warning" if unsure and advisory.severity == "error" else advisory.severity
            yield Finding(advisory.id, severity, why, advisory.fix, place, advisory=True)
