#!/usr/bin/env python3
"""Draw docs/terminal.svg, the picture of the README, from what the commands print when they are run.

    .venv/bin/python scripts/terminal_picture.py                # runs all; the rehearsal takes a minute
    .venv/bin/python scripts/terminal_picture.py --out x.svg

Needs what ./scripts/quickstart leaves: .venv and vLLM for the CPU. Nothing in the picture is written by hand but the
prompts; only the file name of a broken config, made here from a built-in one, is invented.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 114
FOREGROUND = (201, 209, 217)
GREEN = (63, 185, 80)
NIGHT = TerminalTheme((13, 17, 23), FOREGROUND, [*[FOREGROUND] * 2, GREEN, *[FOREGROUND] * 5])
FONTS = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono"
# What a user types, in a folder with the broken config.
COMMANDS = (
    "dsv4 validate mine.yaml",
    "dsv4 render-cmd flash-b200 | tail -n 17",
    "dsv4 rehearse flash-b200",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "terminal.svg")
    out = parser.parse_args().out
    with Path(os.devnull).open("w") as nowhere, tempfile.TemporaryDirectory() as folder:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, highlight=False)
        (Path(folder) / "mine.yaml").write_text(broken((ROOT / "configs" / "flash-b200.yaml").read_text()))
        for n, command in enumerate(COMMANDS):
            print(f"$ {command}", flush=True)
            said = run(command, Path(folder))
            print(said, flush=True)
            console.print(*([] if n == 0 else [""]), Text.assemble(("$ ", "bold green"), (command, "bold")), sep="\n")
            console.print(Text(said.rstrip("\n")))
        svg = console.export_svg(title="dsv4", theme=NIGHT, unique_id="dsv4")
    out.write_text(without_web_fonts(svg))
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB", file=sys.stderr)
    return 0


def broken(config: str) -> str:
    """A config with two mistakes: one of the hand, one of judgement."""
    return config.replace("kv_cache_dtype: fp8", "kv_cache_dtyp: fp8").replace("block_size: 256", "block_size: 128")


def run(command: str, folder: Path) -> str:
    """What a command prints, results and notes in their order; a failure is a picture too, unless it is a bug."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env = {**known, "PATH": f"{ROOT / '.venv' / 'bin'}:{known['PATH']}", "PYTHONUNBUFFERED": "1", "COLUMNS": str(WIDTH)}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 3, 4):
        raise SystemExit(f"`{command}` exited {done.returncode}:\n{done.stdout}")
    return done.stdout


def without_web_fonts(svg: str) -> str:
    """The picture asks no server for fonts: the reader's own monospace font is laid out to the same width."""
    svg = re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.S)
    return re.sub(r"[ \t]+$", "", svg, flags=re.M).replace("Fira Code", FONTS)


if __name__ == "__main__":
    sys.exit(main())
