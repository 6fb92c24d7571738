#!/usr/bin/env python3
"""How well `dsv4 lint` does on commands from the field: is the cause of a failure named, does what works pass.

    .venv/bin/python scripts/field_check.py COMMANDS.jsonl

A line of the file is `{"id", "raw", "image_or_version", "hardware", "outcome", "error"}`: outcome `works`, `fails` or
`unknown`. A failure counts as named when lint has an error or a warning with an expected code: `"expect": ["D05"]`
says it outright, else it is the advisory that explains the text of `error`. A text that no shell can run as it is
recorded (cut off, or with its quotes lost) is counted apart: the deployment worked, this text cannot.
Prints both rates and every miss; exit 10 below `--named` and `--clean` (percent).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.convert.lint.finding import Finding
from dsv4_launch.convert.lint.judge import judge
from dsv4_launch.convert.read.find import find_launches
from dsv4_launch.errors import Dsv4Error
from dsv4_launch.plan.explain_log import explain_log

# The longest name first: gb200 is not b200.
_GPU_NAMES = ("gb200", "gb300", "gh200", "b200", "b300", "h200", "h100", "h800", "h20", "a100", "l20", "gb10", "mi355x")


@dataclass
class Tally:
    """What was found over a file."""

    named: int = 0
    failed: int = 0
    clean: int = 0
    worked: int = 0
    unrunnable: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--named", type=float, default=0, help="least percentage of failures whose cause is named")
    parser.add_argument("--clean", type=float, default=0, help="least percentage of working commands without an error")
    options = parser.parse_args()
    tally = Tally()
    for line in options.file.read_text("utf-8").splitlines():
        if line.strip():
            check(json.loads(line), tally)
    for miss in tally.misses:
        print(miss)
    named, clean = percent(tally.named, tally.failed), percent(tally.clean, tally.worked)
    for text in tally.unrunnable:
        print(text)
    print(f"texts that no shell can run as recorded, and lint says so: {len(tally.unrunnable)}")
    print(f"failures whose cause is named: {tally.named} of {tally.failed} ({named:.1f} %)")
    print(f"working commands without an error: {tally.clean} of {tally.worked} ({clean:.1f} %)")
    return 10 if named < options.named or clean < options.clean else 0


def percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 100.0


def check(row: dict[str, object], tally: Tally) -> None:
    """Judge one line and count it."""
    name, outcome = str(row["id"]), str(row.get("outcome", "unknown"))
    if outcome not in ("works", "fails"):
        return
    try:
        found = list(findings(row))
    except Dsv4Error as error:
        found = [Finding(error.problems[0].code, "error", str(error), "", (0, 0))]
    errors = [finding for finding in found if finding.severity == "error"]
    if outcome == "works":
        reason = unrunnable(str(row["raw"])) if errors else None
        if reason is not None:
            tally.unrunnable.append(f"{name}: {reason}; lint says {', '.join(sorted({e.code for e in errors}))}")
            return
        tally.worked += 1
        tally.clean += not errors
        tally.misses += [f"{name}: works, lint says {e.code}: {e.why[:150]}" for e in errors]
        return
    tally.failed += 1
    expected = expected_codes(row)
    if any(f.code in expected for f in found if f.severity != "info") or (not expected and errors):
        tally.named += 1
    else:
        codes = ", ".join(f.code for f in found) or "nothing"
        tally.misses.append(f"{name}: fails ({row.get('error')}), lint says {codes}; expected {sorted(expected)}")


def unrunnable(text: str) -> str | None:
    """Why no shell can run a text as it is recorded, by bash's own word; None when it can. Nothing of it is run."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"bash: {done.stderr.strip().splitlines()[0].partition(': ')[2]}"
    # Braces outside quotes: bash makes words of them. Only a text without any other expansion is given to it.
    found = re.search(r"""(?<=\s)\{"[^'`$;|&<>()]*\}(?=\s|$)""", text)
    if found is None:
        return None
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\n' {found.group()}"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    try:
        json.loads(words[0])
    except ValueError:
        return f"bash makes {len(words)} words of {found.group()[:60]}, the first is {words[0]}, which is no JSON"
    return None


def expected_codes(row: dict[str, object]) -> set[str]:
    """The codes that name the cause: said outright, or the advisories that the error shows."""
    said = row.get("expect")
    if isinstance(said, list):
        return {str(code) for code in said}
    return {match.advisory.id for match in explain_log([str(row.get("error", ""))])}


def findings(row: dict[str, object]) -> Iterator[Finding]:
    """What lint says of every launch of the line. Raises InputError when there is none."""
    text, image = str(row["raw"]), str(row.get("image_or_version", ""))
    launches = find_launches(text)
    if not launches:
        from dsv4_launch.errors import InputError

        raise InputError("no launch is found", code="no-launch")
    for launch in launches:
        version = None if launch.image is not None else version_of(image)
        yield from judge(launch, text, version, gpu_of(str(row.get("hardware", "")))).findings


def version_of(image: str) -> str | None:
    """The release in an image's name or a version's words."""
    if "deepseekv4" in image:
        return "0.20.0"
    found = re.search(r"(?<![\w./])v?(\d+\.\d+\.\d+(?:rc\d+)?(?:\.dev\d+)?(?:\+\w+)?)(?!\w*/)", image)
    return found.group(1) if found and not image.startswith("recipe") else None


def gpu_of(hardware: str) -> str | None:
    """The catalog key of what the command ran on."""
    words = re.sub(r"[^a-z0-9]+", " ", hardware.lower())
    if "rtx pro 6000" in words:
        return "rtx-pro-6000"
    if "4090" in words:
        return "rtx-4090"
    found = [name for name in _GPU_NAMES if re.search(rf"(?<![a-z]){name}\b", words)]
    return found[0] if len(found) == 1 and found[0] in gpus() else None


if __name__ == "__main__":
    sys.exit(main())
