#!/usr/bin/env python3
"""What `dsv4 bench run` costs over plain `vllm bench serve`, for one point against a calibrated server.

    scripts/bench_overhead.py [--rounds 3] [--out FILE.json]

Three figures of each round: wall time of both, processor time of both (which a busy machine changes little), and the
wall time of dsv4 that does not belong to the client's process. The goal is under 1 s of each.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
sys.path.insert(0, str(ROOT / "tests"))

from dsv4_launch.run.bench import store  # noqa: E402
from e2e.bench_box import Calibrated  # noqa: E402


def main() -> int:
    """Measure in turns, print and write."""
    home = Path(os.environ.get("DSV4_REHEARSAL_HOME") or Path.home() / ".cache/dsv4/rehearsal")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=str(home / "venv/bin/python"))
    parser.add_argument("--tokenizer", default=str(home / "model"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    server = Calibrated("--ttft-ms", "50", "--itl-ms", "10")
    try:
        rows = [one(options, server) for _ in range(options.rounds)]
    finally:
        server.stop()
    found = {name: round(median(row[name] for row in rows), 2) for name in rows[0]}
    print(json.dumps(found))
    if options.out:
        options.out.write_text(json.dumps({"median": found, "rounds": rows}, indent=1) + "\n")
    return 0 if found["own_wall_s"] < 1 and found["cpu_more_s"] < 1 else 1


def one(options: argparse.Namespace, server: Calibrated) -> dict[str, float]:
    """The same point twice: plain, and by dsv4."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--url", server.url, "--dir", folder, "--client-python", options.python, "--rest", "0"]
        words += ["--tokenizer", options.tokenizer, "--concurrency", "4", "--input-len", "64", "--output-len", "32"]
        words += ["--requests-per-concurrency", "8", "--no-report"]
        dsv4 = [sys.executable, "-c", "from dsv4_launch.cli.main import run; run()", "bench", "run", *words]
        ours_s, ours_cpu = timed(dsv4, {"PYTHONPATH": str(ROOT / "src")})
        side = store.load(Path(folder)).measured[0].side
        assert side is not None
        plain = [word.replace(str(Path(folder).resolve()), folder) for word in side.argv]
        at = plain.index("bench")
        plain[plain.index("--result-dir") + 1] = folder
        code = "import sys; from vllm.entrypoints.cli.main import main; sys.argv[0] = 'vllm'; main()"
        plain_s, plain_cpu = timed([options.python, "-c", code, *plain[at:]], {"HF_HUB_OFFLINE": "1"})
    row = {
        "plain_wall_s": plain_s,
        "dsv4_wall_s": ours_s,
        "own_wall_s": ours_s - side.seconds,
        "plain_cpu_s": plain_cpu,
        "dsv4_cpu_s": ours_cpu,
        "cpu_more_s": ours_cpu - plain_cpu,
        "load1": os.getloadavg()[0],
    }
    print(json.dumps({name: round(value, 2) for name, value in row.items()}), flush=True)
    return row


def timed(command: list[str], more: dict[str, str]) -> tuple[float, float]:
    """Wall and processor time of a command and its children, in seconds."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began_s, cpu_s


if __name__ == "__main__":
    sys.exit(main())
