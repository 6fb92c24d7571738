"""`dsv4 explain`: what a code means, where it holds, what to do, and who says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dsv4_launch.catalog.advisories import Advisory, advisories
from dsv4_launch.catalog.limits import limits
from dsv4_launch.catalog.lint import FaultKind, LintRule, fault_kinds, lint_rules
from dsv4_launch.catalog.problems import known_problems
from dsv4_launch.catalog.read import table
from dsv4_launch.catalog.rules import Patch, constraints
from dsv4_launch.cli import options, show
from dsv4_launch.errors import HostError, ImpossibleError, InputError, UsageError, meaning
from dsv4_launch.values import listed

# So many codes are asked back; more are a list.
_FEW = 3


@dataclass(frozen=True, slots=True)
class Explanation:
    """A code in words. ``kind``: advisory, constraint, limit, check, problem or lint.

    ``exits``: the exit codes that it comes with, 0 as a warning; none where something else decides.
    """

    code: str
    kind: str
    title: str
    cause: str
    fix: str
    holds: str = ""
    patch: Patch | None = None
    sources: tuple[str, ...] = ()
    exits: tuple[int, ...] = ()


def explain_code(code: str, output: options.Output) -> int:
    """Print the explanation; returns the exit code. Raises UsageError, with the nearest, for an unknown code."""
    known = explanations()
    found = known.get(code) or known.get(code.upper()) or known.get(code.lower())
    if found is None:
        raise UsageError(f"There is no code {code!r}.", fix=_meant(code, known))
    if output is options.Output.json:
        show.envelope("explain", 0, found)
    else:
        _human(found)
    return 0


def _meant(code: str, known: Iterable[str]) -> str:
    """What to write instead: the codes that begin so, or the nearest three."""
    from difflib import get_close_matches

    folded = {name.lower(): name for name in known}
    wanted = code.lower().replace("_", "-").strip()
    begin = sorted(name for name in folded if wanted and name.startswith(wanted))
    found = [folded[name] for name in begin or get_close_matches(wanted, folded)]
    if not found:
        return "A code stands in brackets behind a message, and as `code` in what --output json prints."
    return f"Did you mean {listed(found)}?" if len(found) <= _FEW else f"These begin so: {', '.join(found)}."


@lru_cache
def explanations() -> dict[str, Explanation]:
    """Every code that dsv4 prints, explained."""
    entries = (*_lints(), *_problems(), *_checks(), *_together(), *_limits(), *_constraints(), *_advisories())
    return {entry.code: entry for entry in entries}


def _limits() -> list[Explanation]:
    def told(codes: tuple[str, ...]) -> str:
        if not codes:
            return "Nothing to do: it is taken care of."
        return f"Shown as {listed(codes)}: `dsv4 explain` says of each what to do."

    return [
        Explanation(
            one.id,
            "limit",
            "a limit of the model on vLLM",
            one.says,
            told(one.codes),
            f"vLLM {one.vllm}" if one.vllm else "every release",
            sources=one.sources,
        )
        for one in limits()
    ]


def _advisories() -> list[Explanation]:
    return [Explanation(a.id, "advisory", a.title, a.cause, a.fix, _holds(a), a.patch, a.sources) for a in advisories()]


def _holds(advisory: Advisory) -> str:
    places = advisory.gpu or advisory.arch
    parts = [f"vLLM {' or '.join(advisory.versions)}"] if advisory.versions else ["every release"]
    return ", on ".join([*parts, listed(places)] if places else parts)


def _constraints() -> list[Explanation]:
    return [
        Explanation(
            c.code,
            "constraint",
            f"{c.name} must {' and '.join(_must(kind, wanted) for kind, wanted in c.must.items())}",
            _sentence(c.why),
            c.fix,
            ", ".join(f"{name} {_words(wanted)}" for name, wanted in c.when.items()) or "every release",
            c.patch,
            (c.source,),
            exits=(ImpossibleError.exit_code,),
        )
        for c in constraints()
    ]


def _together() -> list[Explanation]:
    """What vLLM refuses of arguments together: a code may stand for several, in different releases."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table("serve_checks")["check"]:
        rows.setdefault(row["code"], []).append(row)
    return [
        Explanation(
            code,
            "constraint",
            f"vLLM refuses {listed(dict.fromkeys(row['name'] for row in same))} here",
            " ".join(_sentence(why) for why in dict.fromkeys(row["why"] for row in same)),
            next((row["fix"] for row in same if row.get("fix")), "Leave the argument out, or change what it needs."),
            listed(dict.fromkeys(f"vLLM {row['when']}" if "when" in row else "every release" for row in same)),
            sources=tuple(dict.fromkeys(row["source"] for row in same)),
            exits=(ImpossibleError.exit_code,),
        )
        for code, same in rows.items()
    ]


_MUST = {
    "in": "be {}",
    "not_in": "not be {}",
    "min": "be at least {}",
    "max": "be at most {}",
    "divides": "divide {}",
    "present": "be set",
    "absent": "be something else, or not be set",
}


def _must(kind: str, wanted: Any) -> str:
    words = [str(w).lower() if isinstance(w, bool) else w for w in wanted] if isinstance(wanted, list) else [wanted]
    return _MUST[kind].format(listed(str(w).removeprefix("$") for w in words))


def _checks() -> list[Explanation]:
    from dsv4_launch.checks.base import CHECKS
    from dsv4_launch.checks.examine import examine  # noqa: F401 - its import registers every check

    return [
        Explanation(
            c.code,
            "check",
            c.title,
            " ".join(c.explain.split()),
            "The finding itself says what to do.",
            exits=(HostError.exit_code if c.severity == "error" else 0,),
        )
        for c in CHECKS.values()
    ]


def _problems() -> list[Explanation]:
    return [
        Explanation(one.code, "problem", one.title, one.cause, one.fix, exits=one.exits) for one in known_problems()
    ]


def _lints() -> list[Explanation]:
    rows: list[FaultKind | LintRule] = [*fault_kinds().values(), *lint_rules()]
    return [
        Explanation(
            row.code,
            "lint",
            "found in a pasted launch",
            _sentence(row.why.replace("{said}", "…")),
            row.fix.replace("{said}", "…"),
            exits=(InputError.exit_code if row.severity == "error" else 0,),
        )
        for row in rows
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _words(wanted: Any) -> str:
    return wanted if isinstance(wanted, str) else listed(w or "none" for w in wanted)


def _human(found: Explanation) -> None:
    show.say(f"{found.code}: {found.title}")
    rows = [
        ("cause", found.cause),
        ("fix", found.fix),
        ("where", found.holds),
        ("patch", _patch(found.patch) if found.patch else ""),
    ]
    rows += [("exit", f"{code}: {meaning(code)}") for code in found.exits]
    if found.kind == "problem" and not found.exits:
        rows.append(("exit", "that of the failure beside it"))
    for name, text in (*rows, *(("source", source) for source in found.sources)):
        if text:
            show.say(f"  {name:<7} {text}")


def _patch(patch: Patch) -> str:
    return ", ".join((*(f"remove {name}" for name in patch.remove), *(f"{n}: {v}" for n, v in patch.set.items())))
