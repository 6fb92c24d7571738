#!/usr/bin/env python3
"""Throughput of `dsv4 pull` against the `hf download` command on the same loopback Hub, in turns.

Usage: .venv/bin/python scripts/bench_pull.py [--shards 46] [--mib 16] [--rounds 3] [--rate MB_PER_S]

Prints the seconds of each run and the ratio of the medians (1.00: as fast; below: slower than hf). Without --rate the
processor is the limit, which a download from a real Hub never sees: there hashing, which `hf download` does not do,
competes with the copying. With --rate the server holds itself to a link of that speed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from e2e.loopback.hub_files import FileHub, shards

REPO = "deepseek-ai/DeepSeek-V4-Flash"
BIN = Path(sys.executable).parent


def main() -> None:
    """Run both in turns and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=46)
    parser.add_argument("--mib", type=int, default=16, help="size of a shard")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0, help="MB/s that the server gives, 0: all it can")
    chosen = parser.parse_args()
    size = chosen.mib << 20
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs, chosen.shards, size, chosen.rate * 1e6), daemon=True)
    server.start()
    url = ours.recv()
    total_mb = chosen.shards * size / 1e6
    print(
        f"{chosen.shards} shards of {chosen.mib} MiB ({total_mb:.0f} MB), {os.cpu_count()} CPUs, {chosen.rate:g} MB/s"
    )
    commands = {"hf download": [BIN / "hf", "download", REPO], "dsv4 pull": [BIN / "dsv4", "pull", "flash-b200"]}
    took_s: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(chosen.rounds):
        for name in commands if number % 2 == 0 else reversed(commands):
            seconds, cpu_s = run(commands[name], url, total_mb)
            took_s[name].append(seconds)
            print(f"  {name:12} {seconds:6.2f} s  {total_mb / seconds:6.0f} MB/s  {cpu_s:5.1f} s CPU", flush=True)
    ours.send("end")
    medians = {name: statistics.median(seconds) for name, seconds in took_s.items()}
    print(f"ratio of throughput, dsv4 to hf: {medians['hf download'] / medians['dsv4 pull']:.3f}")


def run(words: list[object], url: str, total_mb: float) -> tuple[float, float]:
    """Seconds, and seconds of CPU, of one download into a cache of its own; every byte has to be there."""
    home = tempfile.mkdtemp(prefix="bench-pull-")
    env = {"PATH": os.environ["PATH"], "HOME": home, "HF_HOME": home, "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1"}
    env["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    try:
        before, began_s = os.times(), time.monotonic()
        done = subprocess.run([str(word) for word in words], env=env, capture_output=True, text=True)
        took_s, after = time.monotonic() - began_s, os.times()
        if done.returncode:
            sys.exit(f"{words[0]} failed:\n{done.stderr}")
        here = sum(path.stat().st_size for path in Path(home).glob("hub/models--*/blobs/*"))
        if here < total_mb * 1e6:
            sys.exit(f"{words[0]} brought {here} bytes of {total_mb * 1e6:.0f}")
        used_s = after.children_user + after.children_system - before.children_user - before.children_system
        return took_s, used_s
    finally:
        shutil.rmtree(home)


def serve(pipe: Connection, count: int, size: int, rate: float) -> None:
    """The Hub, in a process of its own."""
    with FileHub(REPO, shards(count, size), rate=rate) as hub:
        pipe.send(hub.url)
        pipe.recv()


if __name__ == "__main__":
    main()
