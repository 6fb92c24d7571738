"""Mending a config: the patches of what would refuse or harm it, applied to its text with everything else kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from dsv4_launch.catalog.rules import Patch, constraints
from dsv4_launch.config.edit import REMOVED, edit, find
from dsv4_launch.config.load import load
from dsv4_launch.config.yaml_text import Path, parse
from dsv4_launch.dataclass import dataclass
from dsv4_launch.errors import Dsv4Error
from dsv4_launch.plan.advise import matching
from dsv4_launch.plan.conditions import values_of
from dsv4_launch.plan.lookup import facts_of, look_up
from dsv4_launch.plan.parts import repo_of
from dsv4_launch.plan.resolve import examine_config
from dsv4_launch.plan.settings import settle, written


@dataclass(frozen=True, slots=True)
class Change:
    """One value that was changed; None: it was, or is, not there. ``code`` and ``why`` name what asked for it."""

    path: str
    old: Any
    new: Any
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is wrong with a config: errors by code, and what has a patch."""

    errors: Counter[str]
    held: frozenset[str]
    mendable: tuple[tuple[str, str, Patch], ...]


def repair(text: str, file: str, *, errors_only: bool = False) -> tuple[str, tuple[Change, ...]]:
    """The text with the patches of broken constraints and matching advisories applied, and what they changed.

    A patch that does not cure its cause, or that breaks something else, is not applied. Repairing what was repaired
    changes nothing. With ``errors_only`` what is a warning stays. Raises InputError when the text is not a config.
    """
    changes: list[Change] = []
    verdict, tried = _judge(text, file, errors_only=errors_only), set[str]()
    while (step := next(_steps(text, file, verdict, tried, errors_only=errors_only), None)) is not None:
        text, verdict, made = step
        changes += made
    return text, tuple(changes)


def _steps(
    text: str, file: str, verdict: _Verdict, tried: set[str], *, errors_only: bool
) -> Iterator[tuple[str, _Verdict, tuple[Change, ...]]]:
    """Every patch that helps, as the text, the verdict and the changes after it."""
    data, _ = parse(text, file)
    for code, why, patch in verdict.mendable:
        if code in tried:
            continue
        tried.add(code)
        edits = _edits(data, patch)
        if not edits or ("vllm" in patch.set and _at(data, ("container", "image")) is not None):
            continue  # an image that is named decides the release
        try:
            mended = edit(text, edits, file)
            after = _judge(mended, file, errors_only=errors_only)
        except Dsv4Error:
            continue
        if code in after.held or after.errors - verdict.errors:
            continue
        made = tuple(
            Change(".".join(map(str, path)), _at(data, path), None if new is REMOVED else new, code, why)
            for path, new in edits
        )
        yield mended, after, made


def _judge(text: str, file: str, *, errors_only: bool) -> _Verdict:
    loaded = load(text, file)
    _, problems = examine_config(loaded)
    errors = Counter(problem.code for problem in problems)
    mendable = [(c.code, c.why, c.patch) for c in constraints() if c.patch is not None and c.code in errors]
    held = set(errors)
    known, _ = look_up(loaded.config, loaded.origins.where)
    if known is not None:
        facts = facts_of(loaded.config, known)
        explicit = written(loaded.config, loaded.origins.where)
        settled, _ = settle(explicit, facts, {"model.repo": repo_of(loaded.config, known.variant)})
        for match in matching(values_of(settled, facts), facts):
            advisory = match.advisory
            held.add(advisory.id)
            wanted = advisory.severity == "error" or (advisory.severity == "warning" and not errors_only)
            if advisory.patch is not None and wanted:
                mendable.append((advisory.id, advisory.title, advisory.patch))
    return _Verdict(errors, frozenset(held), tuple(mendable))


def _edits(data: Any, patch: Patch) -> list[tuple[Path, Any]]:
    """The changes that a patch makes to this config; none when it says so already."""
    edits: list[tuple[Path, Any]] = []
    for name in patch.remove:
        path = find(data, name.split("."))
        if path is not None:
            while len(path) > 2 and len(_at(data, path[:-1])) == 1:
                path = path[:-1]  # no empty table is left behind
            edits.append((path, REMOVED))
    for name, value in patch.set.items():
        path = find(data, name.split(".")) or tuple(name.split("."))
        if _at(data, path) != value:
            edits.append((path, value))
    return edits


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
    return data
