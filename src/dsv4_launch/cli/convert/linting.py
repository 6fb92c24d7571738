"""How the findings of `dsv4 lint` are printed: for people, as one JSON envelope, or one line a command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsv4_launch.cli import show
from dsv4_launch.cli.convert.converting import read_text
from dsv4_launch.cli.convert.repairing import repaired
from dsv4_launch.convert.lint.finding import Finding
from dsv4_launch.convert.lint.judge import Verdict, lint, lint_argv
from dsv4_launch.convert.read.secrets import secret_values, without_secrets
from dsv4_launch.convert.read.words import Places
from dsv4_launch.errors import Dsv4Error, InputError
from dsv4_launch.values import counted

_MOST_SHOWN = 100
# A text of the largest size, with every character of it escaped.
_LONGEST_LINE = 7_000_000


def lint_text(argument: str, vllm: str | None, gpu: str | None, *, as_json: bool) -> int:
    """Lint what the argument names and print it; 3 when anything is an error."""
    text, name = read_text(argument)
    try:
        verdicts = lint(text, vllm, gpu)
    except InputError as error:
        raise InputError(*(replace(p, where=name) if p.where == "text" else p for p in error.problems)) from None
    places = Places(text)
    exit_code = 3 if any(verdict.errors for verdict in verdicts) else 0
    if as_json:
        show.envelope("lint", exit_code, {"launches": [_data(verdict, text, places) for verdict in verdicts]})
    else:
        for verdict in verdicts:
            _human(verdict, text, name, places)
    return exit_code


def _shown_words(finding: Finding, verdict: Verdict, text: str) -> str:
    words = " ".join(text[finding.span[0] : finding.span[1]].split())
    words = without_secrets(words, secret_values(verdict.launch, verdict.imported.engine))
    return words if len(words) <= _MOST_SHOWN else words[: _MOST_SHOWN - 1] + "…"


def _data(verdict: Verdict, text: str, places: Places) -> dict[str, Any]:
    release = verdict.imported.engine.release
    return {
        "kind": verdict.launch.kind,
        "program": verdict.launch.program,
        "vllm": release.version,
        "judged_as": release.table,
        "gpu": str(verdict.imported.data["gpu"]) if verdict.imported.gpu_told else None,
        "findings": [_finding(finding, verdict, text, places) for finding in verdict.findings],
        "repaired": repaired(verdict, text),
    }


def _finding(finding: Finding, verdict: Verdict, text: str, places: Places) -> dict[str, Any]:
    line, column = places.line_column(finding.span[0])
    end_line, end_column = places.line_column(finding.span[1])
    return {
        "code": finding.code,
        "severity": finding.severity,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "words": _shown_words(finding, verdict, text),
        "why": _safe(finding.why, verdict),
        "fix": finding.fix,
    }


def _safe(why: str, verdict: Verdict) -> str:
    return without_secrets(why, secret_values(verdict.launch, verdict.imported.engine))


def _human(verdict: Verdict, text: str, name: str, places: Places) -> None:
    for finding in verdict.findings:
        line, column = places.line_column(finding.span[0])
        show.say(show.clean(f"{finding.severity}[{finding.code}]: {_safe(finding.why, verdict)}"))
        words = _shown_words(finding, verdict, text)
        show.say(show.clean(f"  --> {name}:{line}:{column}" + (f": {words}" if words else "")))
        if finding.fix:
            show.say(show.clean(f"  fix: {finding.fix}"))
    release = verdict.imported.engine.release
    gpu = str(verdict.imported.data["gpu"]) if verdict.imported.gpu_told else "no GPU named (--gpu)"
    counts = {s: sum(f.severity == s for f in verdict.findings) for s in ("error", "warning", "info")}
    found = ", ".join(counted(n, s, "info" if s == "info" else "") for s, n in counts.items() if n) or "nothing"
    show.say(f"{name}: vLLM {release.table}, {gpu}: {found} found")
    show.say("")
    one_command = verdict.launch.kind in ("docker", "native", "argv")
    show.say("# repaired:" if one_command else "# repaired, as one command:")
    show.say(show.clean(repaired(verdict, text)))


def lint_batch(file: str, vllm: str | None, gpu: str | None) -> int:
    """One line of JSON for every line of a JSONL file; 3 when anything is an error. Raises InputError for no file."""
    exit_code = 0
    for number, row in _rows(file):
        where = f"{file}:{number}"
        answer = _answer(row, where, vllm, gpu)
        exit_code = exit_code if answer["ok"] else 3
        show.say(json.dumps(answer))  # ASCII: some readers take U+2028 for the end of a line
    return exit_code


def _rows(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as lines:
            for number, raw in enumerate(lines, start=1):
                if not raw.strip():
                    continue
                try:
                    row = json.loads(raw) if len(raw) <= _LONGEST_LINE else None
                except (ValueError, RecursionError):
                    row = None
                yield number, row if isinstance(row, dict) else {}
    except OSError as error:
        raise InputError(f"The file cannot be read: {error.strerror or error}.", where=file) from None


def _answer(row: dict[str, Any], where: str, vllm: str | None, gpu: str | None) -> dict[str, Any]:
    vllm, gpu = row.get("vllm") or vllm, row.get("gpu") or gpu
    text, argv = row.get("text"), row.get("argv")
    try:
        if not all(value is None or isinstance(value, str) for value in (vllm, gpu)):
            raise InputError("vllm and gpu are texts.", where=where)
        if isinstance(text, str):
            verdicts: Sequence[Verdict] = lint(text, vllm, gpu)
        elif isinstance(argv, list) and all(isinstance(word, str) for word in argv):
            text, verdicts = " ".join(argv), (lint_argv(argv, vllm, gpu),)
        else:
            raise InputError('This line is not {"id", "text" or "argv", "vllm", "gpu"}.', where=where)
    except Dsv4Error as error:
        errors = [
            {
                "code": p.code,
                "why": f"{where}: {p.message}" if p.where == where else p.message,
                "fix": p.fix,
                "words": "",
            }
            for p in error.problems
        ]
        return {"id": row.get("id"), "ok": False, "errors": errors, "warnings": [], "advisories": []}
    found = [(finding, verdict) for verdict in verdicts for finding in verdict.findings]
    return {
        "id": row.get("id"),
        "ok": not any(finding.severity == "error" for finding, _ in found),
        "errors": [_brief(f, v, text) for f, v in found if f.severity == "error"],
        "warnings": [_brief(f, v, text) for f, v in found if f.severity == "warning" and not f.advisory],
        "advisories": [_brief(f, v, text) for f, v in found if f.advisory],
    }


def _brief(finding: Finding, verdict: Verdict, text: str) -> dict[str, str]:
    return {
        "code": finding.code,
        "why": _safe(finding.why, verdict),
        "fix": finding.fix,
        "words": _shown_words(finding, verdict, text),
    }
