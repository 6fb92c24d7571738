#!/usr/bin/env python3
"""Write docs/checks.md: every host check, from the code that runs it. A test sees that it is up to date."""

import argparse
import sys
from pathlib import Path

from dsv4_launch.checks.base import CHECKS, Check
from dsv4_launch.checks.examine import examine  # noqa: F401 - its import registers every check

TARGET = Path(__file__).resolve().parents[1] / "docs" / "checks.md"
FAMILIES = {
    "GPU": "GPUs",
    "DRV": "Driver",
    "FAB": "NVLink and its fabric",
    "MEM": "Memory",
    "DSK": "Disks",
    "NET": "Network",
    "CTR": "Container engine",
    "ENG": "The vLLM that runs",
    "MDL": "Model",
}
HEAD = """# Host checks

What `dsv4 doctor` looks at, and `dsv4 serve` before a launch. Written by `scripts/write_checks.py`; do not edit.

An *error* forbids a launch, a *warning* is said. What could not be read is unknown and never passed: it forbids a
launch where the check is an error, unless "unread: warning" stands there. `--skip CODE=REASON` lets one not decide.
"""


def text() -> str:
    """The page."""
    parts = [HEAD]
    for family, title in FAMILIES.items():
        rows = sorted((check for check in CHECKS.values() if check.code.startswith(family)), key=lambda one: one.code)
        parts.append(f"\n## {title}\n\n" + "\n".join(map(entry, rows)))
    return "".join(parts)


def entry(check: Check) -> str:
    """One check."""
    notes = [check.severity]
    if check.unread != check.severity:
        notes.append(f"unread: {check.unread}")
    if check.requires:
        notes.append(f"after {', '.join(check.requires)}")
    explained = f"  {' '.join(check.explain.split())}\n" if check.explain else ""
    return f"- **{check.code}** ({'; '.join(notes)}) {check.title}.\n{explained}"


def main() -> int:
    """Write the page, or with --check say whether it is as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is not up to date")
    if parser.parse_args().check:
        return 0 if TARGET.read_text() == text() else 1
    TARGET.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
