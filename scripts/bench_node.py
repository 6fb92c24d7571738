#!/usr/bin/env python3
"""How long `dsv4 doctor` takes on a healthy stand-in node of 8 GPUs, and one answer of the memory planner.

Usage: .venv/bin/python scripts/bench_node.py [--rounds 5]

The aims are 2 s and 1 ms. Seconds of the clock count what else this machine does; seconds of CPU do not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from dsv4_launch.cli.configs import load_config
from dsv4_launch.plan.fit.planner import fit
from dsv4_launch.plan.resolve import resolve
from e2e.nvml_shim import build_shim

DSV4 = Path(sys.executable).with_name("dsv4")


def main() -> None:
    """Measure both and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | build_shim(Path(folder))
        took = [doctor(env) for _ in range(rounds)]
    for name, values in zip(("of the clock", "of CPU"), zip(*took, strict=True), strict=True):
        print(f"doctor, seconds {name}: median {statistics.median(values):.2f}, best {min(values):.2f}")
    for name in ("flash-b200", "flash-b200-dp8", "flash-0731-b200"):
        plan = resolve(load_config(name))
        fit(plan)
        best_s = min(timeit.repeat(lambda plan=plan: fit(plan), number=20, repeat=rounds, timer=time.process_time)) / 20  # type: ignore[misc]
        print(f"fit of {name}: {best_s * 1e3:.3f} ms")


def doctor(env: dict[str, str]) -> tuple[float, float]:
    """Seconds of the clock and of CPU of one look at the node."""
    before, began_s = os.times(), time.monotonic()
    done = subprocess.run([DSV4, "doctor", "--output", "json"], env=env, capture_output=True, text=True)
    took_s, after = time.monotonic() - began_s, os.times()
    if done.returncode not in (0, 5):
        sys.exit(done.stderr)
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return took_s, cpu_s


if __name__ == "__main__":
    main()
