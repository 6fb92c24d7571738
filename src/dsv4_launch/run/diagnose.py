"""Why a server died: its log, how it ended and what the kernel says of the GPUs, against the catalogue of failures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dsv4_launch.catalog.advisories import Advisory, advisories
from dsv4_launch.catalog.read import table
from dsv4_launch.errors import Problem
from dsv4_launch.facts import KernelError
from dsv4_launch.plan.advise import Match
from dsv4_launch.plan.explain_log import explain_log
from dsv4_launch.plan.first_failure import Failure, FirstFailure
from dsv4_launch.run.service import Seen
from dsv4_launch.run.start.failure import ending

# A log of weeks is not read from its beginning: why a server died stands near its end.
MAX_LINES = 50_000
# An ending that is a fact of the engine or the kernel, in words that the catalogue knows.
_OUT_OF_MEMORY = "oom-kill: the service was killed for want of host memory"
_SIGNALS = {4: "Illegal instruction", 6: "Fatal Python error: Aborted", 7: "Bus error", 11: "Segmentation fault"}
_KILLED = 137
_EVIDENCE = 200
# What vLLM says ahead of the exception that ends its engine: excerpts often lack it.
_DIED = "EngineCore encountered a fatal error."


@dataclass(frozen=True, slots=True)
class Explanation:
    """One known failure that explains the death. ``seen``: the line that shows it, ``place``: where that stands.

    ``set`` and ``remove`` are the change to the config that mends it. ``known_here``: it is known for this release and
    GPU, or nobody said which they are.
    """

    id: str
    title: str
    severity: str
    cause: str
    fix: str
    set: Mapping[str, Any]
    remove: tuple[str, ...]
    place: str
    seen: str
    known_here: bool
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Xid:
    """An error of a GPU or NVSwitch in the kernel's log. ``means`` is empty where it says nothing of the hardware."""

    kind: str
    number: int
    pci: str
    count: int
    text: str
    means: str
    grave: bool
    fix: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``ending`` in words ("" for a mere log), ``blamed`` the exception that the log blames, explanations best first.

    ``kernel`` is None where its log was not read. ``failure``: where ``blamed`` comes from, None if from nowhere.
    """

    ending: str
    blamed: str
    explanations: tuple[Explanation, ...]
    kernel: tuple[Xid, ...] | None = None
    failure: Failure | None = None


def diagnose(
    lines: Iterable[str],
    found: Seen | None = None,
    *,
    version: str | None = None,
    gpu: str | None = None,
    kernel: Sequence[KernelError] | None = None,
) -> Diagnosis:
    """Explain a log, and the end of the service that wrote it where that is known. Linear in the log's length.

    What is certain (the kernel killed it, a GPU is broken) comes first, then what the log shows, the most specific
    first, then how the process ended.
    """
    first = FirstFailure()
    matches = explain_log(_seen_by(first, lines), version, gpu)
    failure = first.found
    broken = _xids(kernel)
    certain, last = _by_ending(found)
    if failure is not None and not any(_explains(match) for match in (*matches, *certain, *last)):
        matches = (*_by_failure(failure), *matches)
    order = [
        *(_explained(match, "the kernel's log") for match in _by_kernel(broken or ())),
        *(_explained(match, "how it ended") for match in certain),
        *(_explained(match, f"log line {match.line}") for match in matches),
        *(_explained(match, "how it ended") for match in last),
    ]
    return Diagnosis(
        ending="" if found is None or found.life == "running" else ending(found),
        blamed=failure.said if failure else "",
        explanations=tuple({one.id: one for one in reversed(order)}[id_] for id_ in dict.fromkeys(o.id for o in order)),
        kernel=broken,
        failure=failure,
    )


def problem(explanation: Explanation) -> Problem:
    """An explanation as a failed launch prints it."""
    where = f"{explanation.place}: {explanation.seen.strip()[:_EVIDENCE]}" if explanation.seen else explanation.place
    change = patch_text(explanation)
    fix = f"{explanation.fix} In the config: {change}" if change else explanation.fix
    return Problem(explanation.id, f"{_sentence(explanation.title)}. {explanation.cause}", where, fix)


def death_problems(found: Diagnosis) -> tuple[Problem, ...]:
    """What to say of a death: the best explanation that is not merely good to know."""
    best = next((one for one in found.explanations if one.severity != "info"), None)
    if best is None:
        return ()
    said = problem(best)
    if found.failure is None or best.id not in {advisory.id for advisory in advisories() if advisory.alone}:
        return (said,)
    # What only follows from a failure does not name it: the log does.
    where = failure_text(found.failure)
    first = f"The log first says: {found.failure.said}{f' ({where})' if where else ''}."
    return (replace(said, message=f"{said.message} {first}"),)


def patch_text(explanation: Explanation) -> str:
    """The change to the config in one line ("" if there is none)."""
    parts = [f"remove {name}" for name in explanation.remove]
    return ", ".join((*parts, *(f"{name}: {json.dumps(value)}" for name, value in explanation.set.items())))


def failure_text(failure: Failure) -> str:
    """Which process failed first and where in the code, in one line ("" where the log does not say)."""
    parts = [f"in {failure.process}"] if failure.process else []
    parts += [f"at {failure.frame}"] if failure.frame else []
    return ", ".join(parts)


def _seen_by(first: FirstFailure, lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        first.see(line)
        yield line


def _by_ending(found: Seen | None) -> tuple[tuple[Match, ...], tuple[Match, ...]]:
    """What the ending shows for certain, and what it only suggests: the log says more."""
    if found is None or found.stopped or found.life == "running":
        return (), ()
    if found.out_of_memory:
        return explain_log([_OUT_OF_MEMORY]), ()
    code = found.exit_code
    if code is None:
        return (), explain_log([found.error]) if found.error else ()
    # Without the kernel's word SIGKILL can be a person as well, but nobody else explains it better.
    text = f"exit code {code}" if code in (_KILLED, -9) else _SIGNALS.get(-code if code < 0 else code - 128, "")
    lines = [line for line in (found.error, text) if line]
    return (), explain_log(lines)


def _explains(match: Match) -> bool:
    return match.advisory.severity != "info" and not match.advisory.alone


def _by_failure(failure: Failure) -> tuple[Match, ...]:
    """What an exception of vLLM's own engine shows, where nothing else explains it; those of requests do not count."""
    own = failure.frame.startswith("vllm/") and not failure.frame.startswith("vllm/entrypoints/")
    if failure.process == "APIServer" or not (own or "Worker" in failure.process or "EngineCore" in failure.process):
        return ()
    without = {match.advisory.id for match in explain_log([_DIED])}
    found = explain_log([_DIED, f"{failure.said.partition(': ')[0]}: "])
    return tuple(
        replace(match, line=failure.line, text=failure.said) for match in found if match.advisory.id not in without
    )


def _by_kernel(xids: Sequence[Xid]) -> tuple[Match, ...]:
    names = {"xid": "NVRM: Xid", "sxid": "nvidia-nvswitch: SXid"}
    return explain_log([f"{names[xid.kind]} (PCI:{xid.pci}): {xid.number}, {xid.text}" for xid in xids if xid.grave])


def _xids(errors: Sequence[KernelError] | None) -> tuple[Xid, ...] | None:
    if errors is None:
        return None
    known = table("xids")
    found = []
    for error in errors:
        row = known.get(str(error.number), {}) if error.kind == "xid" else {}
        grave = bool(row.get("grave", False)) if error.kind == "xid" else error.fatal
        means = str(row.get("means", "")) or ("a fatal NVSwitch error" if grave else "")
        fix = str(row.get("fix", ""))
        found.append(Xid(error.kind, error.number, error.pci, error.count, error.text, means, grave, fix))
    return tuple(sorted(found, key=lambda xid: not xid.grave))


def _explained(match: Match, place: str) -> Explanation:
    advisory: Advisory = match.advisory
    patch = advisory.patch
    return Explanation(
        id=advisory.id,
        title=advisory.title,
        severity=advisory.severity,
        cause=advisory.cause,
        fix=advisory.fix,
        set=dict(patch.set) if patch else {},
        remove=patch.remove if patch else (),
        place=place,
        seen=match.text,
        known_here=match.known_here,
        sources=advisory.sources,
    )


def _sentence(title: str) -> str:
    return f"{title[:1].upper()}{title[1:]}"
