#!/usr/bin/env python3
"""How long the command line takes, against what it cannot be faster than; printed as a table.

    .venv/bin/python scripts/bench_cli.py            # 15 pairs a row, about a minute
    .venv/bin/python scripts/bench_cli.py --pairs 40

A cold start is compared with a bare interpreter that only imports pydantic and typer. The two run in turns, and medians
are compared, so that other work on the machine weighs on both. "CPU" is user and system time of the process: on a busy
machine the better number. Needs the environment that ./scripts/test or ./scripts/quickstart makes.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
DSV4 = ROOT / ".venv" / "bin" / "dsv4"
CONFIG = ROOT / "configs" / "flash-b200.yaml"
BARE = [str(PYTHON), "-c", "import pydantic, typer"]
MOST_RATIO, MOST_S, MANY = 1.5, 2.0, 1000


@dataclass(frozen=True)
class Took:
    """One run: seconds by the clock and seconds of CPU."""

    wall_s: float
    cpu_s: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15, help="runs of each command (default 15)")
    parser.add_argument("--no-vllm", action="store_true", help="leave `vllm serve --help` out")
    options = parser.parse_args()
    if not DSV4.exists():
        print(
            "error: there is no .venv/bin/dsv4\nhint: ./scripts/test or ./scripts/quickstart makes it", file=sys.stderr
        )
        return 5
    rows = [cold_start(words, options.pairs) for words in (["--help"], ["render-cmd"], ["validate", str(CONFIG)])]
    rows.append(many_configs())
    if not options.no_vllm:
        rows += vllm_help()
    show(("what", "median", "CPU", "against", "ratio", "CPU ratio", "aim"), rows)
    return 0


def cold_start(words: list[str], pairs: int) -> tuple[str, ...]:
    """`dsv4 WORDS` and the bare interpreter in turns."""
    ours, bare = [str(DSV4), *words], BARE
    run(ours), run(bare)  # byte code and file cache
    took: dict[str, list[Took]] = {"ours": [], "bare": []}
    for n in range(pairs):
        order = [("ours", ours), ("bare", bare)]
        for name, command in order if n % 2 else reversed(order):
            took[name].append(run(command))
    (wall, cpu), (bare_wall, bare_cpu) = medians(took["ours"]), medians(took["bare"])
    shown = " ".join(["dsv4", words[0], *(Path(word).name for word in words[1:])])
    against = f"import pydantic, typer: {bare_wall * 1e3:.0f} ms"
    met = "met" if wall / bare_wall <= MOST_RATIO else "missed"
    ratios = (f"{wall / bare_wall:.2f}", f"{cpu / bare_cpu:.2f}")
    return (shown, f"{wall * 1e3:.0f} ms", f"{cpu * 1e3:.0f} ms", against, *ratios, f"≤ {MOST_RATIO}: {met}")


def many_configs() -> tuple[str, ...]:
    """`dsv4 validate` on a folder of configs that all differ."""
    text = CONFIG.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for n in range(MANY):
            one = re.sub(r"(?m)^name: .*$", f"name: flash-{n:04}", text)
            one = re.sub(r"(?m)^(  max_num_seqs:) .*$", rf"\1 {n + 1}", one)
            one = re.sub(r"(?m)^(  port:) .*$", rf"\1 {20000 + n}", one)
            (Path(folder) / f"flash-{n:04}.yaml").write_text(one)
        wall, cpu = medians([run([str(DSV4), "validate", folder]) for _ in range(3)])
    met = "met" if wall <= MOST_S else "missed"
    row = (f"dsv4 validate, {MANY:,} configs", f"{wall:.2f} s", f"{cpu:.2f} s")
    return (*row, f"{wall / MANY * 1e3:.2f} ms a config", "", "", f"≤ {MOST_S:.0f} s: {met}")


def vllm_help() -> list[tuple[str, ...]]:
    """`vllm serve --help` of the rehearsal's environment, and how many `dsv4 --help` fit into it; [] when not there."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = Path(os.environ.get("DSV4_REHEARSAL_HOME") or f"{cache}/dsv4/rehearsal")
    vllm = home / "venv" / "bin" / "vllm"
    if not vllm.exists():
        return []
    theirs: list[Took] = []
    ours: list[Took] = []
    run([str(vllm), "serve", "--help"])
    for _ in range(3):
        theirs.append(run([str(vllm), "serve", "--help"]))
        ours.append(run([str(DSV4), "--help"]))
    (wall, cpu), (our_wall, our_cpu) = medians(theirs), medians(ours)
    against = f"dsv4 --help: {our_wall * 1e3:.0f} ms"
    row = ("vllm serve --help (CPU build)", f"{wall:.1f} s", f"{cpu:.1f} s", against)
    return [(*row, f"{wall / our_wall:.0f}", f"{cpu / our_cpu:.0f}", "")]


def run(command: list[str]) -> Took:
    """Run it with nothing to read and nowhere to print. Raises CalledProcessError when it fails."""
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Took(wall_s, used.ru_utime + used.ru_stime)


def medians(took: list[Took]) -> tuple[float, float]:
    return statistics.median(t.wall_s for t in took), statistics.median(t.cpu_s for t in took)


def show(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A Markdown table, which a terminal shows as well."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    for row in (head, tuple("-" * width for width in widths), *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


if __name__ == "__main__":
    sys.exit(main())
