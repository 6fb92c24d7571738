"""Whether what runs is what a config says, and which words of its command line differ: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsv4_launch.errors import Dsv4Error
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.service import Seen, digest_of
from dsv4_launch.run.status.status import loaded
from dsv4_launch.targets import render
from dsv4_launch.values import shell_word

_MOST = 3
_OF_THE_PLACE = {"--host", "--port", "--revision"}


def drift_from(found: Seen, expected: str, what: str) -> str:
    """The sentence that says that something else runs than ``what`` ("" when it is the same)."""
    if found.digest == expected:
        return ""
    return f"what runs is not what {what} says (digest {found.digest}, not {expected})"


def drift_of_version(found: Seen) -> str:
    """Whether this version of dsv4 would launch the running config in another way, and in which ("" when not)."""
    if not found.config:
        return "it carries no config that could be compared"
    try:
        plan = resolve(loaded(found.config))
    except Dsv4Error as error:
        return f"its config is not valid for this version of dsv4: {error.problems[0].message}"
    expected = digest_of(plan, render(plan))
    whole = drift_from(found, expected, "its config, rendered by this version of dsv4,") if found.digest else ""
    return f"{whole}{_words(found.argv, plan)}" if whole else ""


def _words(running: Sequence[str], plan: Plan) -> str:
    """Which vLLM options are other ones than this version of dsv4 would give ("" for none, or where none is known)."""
    groups = [argument.argv for argument in plan.arguments]
    options = [tuple(map(str, group)) for group in groups if all(isinstance(word, str) for word in group)]
    # What a host fills in is another one on each host.
    filled = {group[0] for group in groups} - {group[0] for group in options}
    given = [group for group in _groups(running) if group[0] not in _OF_THE_PLACE | filled]
    if not given:
        return ""
    parts = []
    if old := [group for group in given if group not in options]:
        parts.append(f"it was launched with {_listed(old)}")
    if new := [group for group in options if group not in given]:
        parts.append(f"it would be {_listed(new)} now")
    return f": {'; '.join(parts)}" if parts else ": its vLLM options are the same, its environment or container is not"


def _groups(words: Iterable[str]) -> list[tuple[str, ...]]:
    """Options with their values; what stands before the first one (program, model) is no option."""
    groups: list[tuple[str, ...]] = []
    for word in words:
        if word.startswith("--"):
            groups.append((word,))
        elif groups:
            groups[-1] = (*groups[-1], word)
    return groups


def _listed(groups: Sequence[tuple[str, ...]]) -> str:
    texts = [f"`{' '.join(map(shell_word, group))}`" for group in groups[:_MOST]]
    more = len(groups) - _MOST
    return ", ".join([*texts, f"{more} more"] if more > 0 else texts)
