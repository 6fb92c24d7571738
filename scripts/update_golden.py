#!/usr/bin/env python3
"""Write the golden files: the command of every built-in config, for every target, as a person pastes it; and its unit.

Usage: .venv/bin/python scripts/update_golden.py            (then read the diff)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.targets import TARGETS, render, shell, systemd

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden"

# One of each kind says it all: units differ in the name only.
KINDS = ("sh", "json", "service")
UNITS = (("flash-b200", "docker"), ("flash-b200", "native"), ("rehearsal-cpu", "native"))
HOST = systemd.Host(
    "/usr/local/bin/dsv4", "/etc/dsv4/my config 100%.yaml", "dsv4", "/etc/dsv4/flash-b200.env", ("/opt/vllm/bin",)
)


def texts() -> dict[Path, str]:
    """Every golden file with the text that it should have."""
    found = {}
    for name in builtins():
        for target in TARGETS:
            rendered = render(resolve(load_config(name, target=target)))
            found[FOLDER / name / f"{target}.sh"] = f"#!/bin/sh\n{shell.multiline(rendered)}\n"
            found[FOLDER / name / f"{target}.json"] = shell.as_json(rendered) + "\n"
    for name, target in UNITS:
        plan = resolve(load_config(name, target=target))
        found[FOLDER / name / f"{target}.service"] = systemd.unit(plan, HOST)
    return found


def main() -> None:
    """Write them all, and remove those of configs that are gone."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    wanted = texts()
    for path in (found for kind in KINDS for found in FOLDER.glob(f"*/*.{kind}")):
        if path not in wanted:
            path.unlink()
            print(f"removed {path}")
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
