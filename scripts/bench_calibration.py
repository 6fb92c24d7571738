#!/usr/bin/env python3
"""What `dsv4 bench run` reports against what a calibrated server did: is TTFT right, is ITL, and is the verdict?

    scripts/bench_calibration.py [--python VENV/bin/python] [--concurrency 1,8,64,256,512] [--out FILE.json]

For each concurrency a server with fixed TTFT and ITL is started (the same process, other clients' truth is 0) and
measured through the real `vllm bench serve`. A row is right when the client's verdict is "server" and the median TTFT
is within max(5 ms, 5 %) and ITL within 2 % of the truth, or when the verdict is "client" (the tool says so itself).
A row with verdict "server" and a wrong figure is a failure: exit 1. The mean ITL of a chat stream holds one gap of
nothing for each answer (the role and the first token come together); it is compared after that is taken out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
sys.path.insert(0, str(ROOT / "tests"))

from dsv4_launch.run.bench import store  # noqa: E402
from e2e.bench_box import Calibrated  # noqa: E402

TTFT_SHARE, TTFT_MS, ITL_SHARE = 0.05, 5.0, 0.02
# An ITL at which a client on one core can keep up, by concurrency: tokens per second stay about the same.
TOKENS = 48


def main() -> int:
    """Measure all, print a table, write it."""
    home = Path(os.environ.get("DSV4_REHEARSAL_HOME") or Path.home() / ".cache/dsv4/rehearsal")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=str(home / "venv/bin/python"))
    parser.add_argument("--tokenizer", default=str(home / "model"))
    parser.add_argument("--concurrency", default="1,8,64,256,512")
    parser.add_argument("--ttft-ms", type=float, default=200.0)
    parser.add_argument("--itl-ms", type=float, default=40.0)
    parser.add_argument("--requests", type=int, default=4, help="for each one in flight")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for concurrency in map(int, options.concurrency.split(",")):
        rows.append(measure(options, concurrency))
        print(json.dumps(rows[-1]), flush=True)
    wrong = [row for row in rows if row["verdict"] != "client" and not (row["ttft_right"] and row["itl_right"])]
    said = [row["concurrency"] for row in rows if row["verdict"] == "client"]
    print(f"{len(rows)} points, {len(wrong)} wrong without being told; the client was told to be the limit at {said}")
    if options.out:
        cores = len(os.sched_getaffinity(0))
        text = {"cores": cores, "ttft_ms": options.ttft_ms, "itl_ms": options.itl_ms, "rows": rows}
        options.out.write_text(json.dumps(text, indent=1) + "\n")
    return 1 if wrong else 0


def measure(options: argparse.Namespace, concurrency: int) -> dict[str, object]:
    """One concurrency against a server of its own."""
    server = Calibrated("--ttft-ms", str(options.ttft_ms), "--itl-ms", str(options.itl_ms))
    try:
        with tempfile.TemporaryDirectory() as folder:
            words = ["--url", server.url, "--dir", folder, "--client-python", options.python, "--rest", "0"]
            words += ["--tokenizer", options.tokenizer, "--concurrency", str(concurrency), "--detailed"]
            words += ["--input-len", "64", "--output-len", str(TOKENS)]
            words += ["--requests-per-concurrency", str(max(options.requests, 16 // concurrency)), "--warmup", "1"]
            dsv4 = [sys.executable, "-c", "from dsv4_launch.cli.main import run; run()", "bench", "run", *words]
            env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
            done = subprocess.run(dsv4, env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            found = store.load(Path(folder)).measured[0]
            load1 = os.getloadavg()[0]
        truth = server.truth()
    finally:
        server.stop()
    point, side = found.point, found.side
    assert point is not None
    assert side is not None
    assert point.ttft is not None
    assert point.itl is not None
    ttft, itl, mean = point.ttft.median or 0, point.itl.median or 0, (point.itl.mean or 0) * TOKENS / (TOKENS - 1)
    allowed = max(TTFT_MS, TTFT_SHARE * options.ttft_ms)
    return {
        "concurrency": concurrency,
        "verdict": side.client.verdict,
        "why": side.client.why,
        "ttft_median_ms": round(ttft, 2),
        "ttft_mean_ms": round(point.ttft.mean or 0, 2),
        "ttft_p95_ms": round(point.ttft.p95 or 0, 2),
        "itl_median_ms": round(itl, 3),
        "itl_mean_ms": round(mean, 3),
        "ttft_right": abs(ttft - options.ttft_ms) <= allowed,
        "itl_right": abs(mean - options.itl_ms) <= ITL_SHARE * options.itl_ms,
        "server_late_mean_ms": round(truth["late_mean_ms"], 2),
        "server_late_max_ms": round(truth["late_max_ms"], 1),
        "lag_p99_ms": side.client.lag_p99_ms,
        "cpu": side.client.cpu,
        "in_flight": side.client.concurrency,
        "load1": round(load1, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
