#!/usr/bin/env python3
"""How long `dsv4 bench report` takes on 500 points from 20 runs, and how large its page is; printed as a table.

    .venv/bin/python scripts/bench_report.py             # 5 rounds of each
    .venv/bin/python scripts/bench_report.py --rounds 3

The runs are made of plain formulas in a folder of their own. Each round is a new process. "First" has no cached script
for the page, as on a new machine; CPU is user and system time, the better number on a busy machine. Aims: the page in
3 s, in 3 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]
DSV4 = ROOT / ".venv" / "bin" / "dsv4"
RUNS, LEVELS = 20, 25
MOST_S, MOST_MB = 3.0, 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command (default 5)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as text:
        base = Path(text)
        folders = make_runs(base)
        machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        print(f"{RUNS} runs of {LEVELS} points; {machine}")
        print(f"{'what':34}{'wall s':>8}{'CPU s':>8}")
        for name, formats, cold in (
            ("page, first", "html", True),
            ("page", "html", False),
            ("page, Markdown, CSV", "html,md,csv", False),
            ("all, with 22 pictures", "html,md,csv,svg,png", False),
        ):
            took = [report(base, folders, formats, cold) for _ in range(1 if cold or "png" in formats else rounds)]
            wall, cpu = (statistics.median(column) for column in zip(*took, strict=True))
            print(f"{name:34}{wall:8.2f}{cpu:8.2f}")
        size = (base / "out" / "report.html").stat().st_size / 1e6
    print(f"page: {size:.2f} MB (aim {MOST_MB:g}); aim for the page {MOST_S:g} s")
    return 0


def report(base: Path, folders: list[str], formats: str, cold: bool) -> tuple[float, float]:
    """Seconds by the clock and of CPU of one report."""
    cache = tempfile.mkdtemp(dir=base) if cold else str(base / "cache")
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [str(DSV4), "bench", "report", *folders, "--out", str(base / "out"), "--format", formats]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "XDG_CACHE_HOME": cache})
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if cold:
        Path(cache).rename(base / "cache")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_runs(base: Path) -> list[str]:
    """The run directories."""
    from tests.unit.bench.runs import raw, run, side

    from dsv4_launch.run.bench import store as bench_store

    levels = tuple(sorted({round(1.35**step) for step in range(2, 60)})[:LEVELS])
    for number in range(RUNS):
        document = run(f"variant {number}", levels)
        bench_store.write_run(base / f"run{number}", document)
        for planned in document.points:
            data = json.dumps(raw(planned.concurrency, factor=1 + number / 20)).encode()
            bench_store.write_point(base / f"run{number}", side(planned), data)
    return [str(base / f"run{number}") for number in range(RUNS)]


if __name__ == "__main__":
    sys.exit(main())
