#!/usr/bin/env python3
"""How much of a core watching costs: `dsv4 status --watch` and `dsv4 watch`, against deployments that are ready.

    .venv/bin/python scripts/bench_status.py NAME [NAME …] [--seconds 60]

A container costs more than a native server: the engine is asked over its socket. Name one of each to see both.
The processor time of each command (its children too) is read from /proc after its start is over, so what is told is
what a watch of weeks costs. The live view is drawn on a pseudo-terminal. Aim: under 2 % of a core.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

DSV4 = str(Path(sys.executable).with_name("dsv4"))
START_S = 10.0
AIM = 2.0


def used_s(pid: int) -> float:
    """Processor seconds of a process and the children that it has waited for."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def swallow(handle: int) -> None:
    """Read what a view draws, so that it never waits for its terminal."""
    try:
        while os.read(handle, 65536):
            pass
    except OSError:
        return


def cost(words: list[str], seconds: float, *, terminal: bool) -> float:
    """Percent of a core over so many seconds."""
    ours, theirs = pty.openpty()
    threading.Thread(target=swallow, args=(ours,), daemon=True).start()
    out = theirs if terminal else subprocess.DEVNULL
    process = subprocess.Popen([DSV4, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
    os.close(theirs)
    try:
        time.sleep(START_S)
        before_s, began_s = used_s(process.pid), time.monotonic()
        time.sleep(seconds)
        return 100 * (used_s(process.pid) - before_s) / (time.monotonic() - began_s)
    finally:
        process.terminate()
        process.wait(20)


def kind_of(name: str) -> str:
    """The target of a deployment. Ends the program where it is not ready, or is watched already."""
    told = subprocess.run([DSV4, "status", name, "--output", "json"], capture_output=True, text=True, check=True)
    (one,) = json.loads(told.stdout)["data"]["deployments"]
    if one["state"] != "ready" or one["watcher"]:
        sys.exit(f"{name} is {one['state']}{', and watched already' if one['watcher'] else ''}")
    return str(one["target"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", metavar="NAME", nargs="+")
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    ways = (
        ("status --watch, live", ["status", "--watch"], True),
        ("status --watch, lines", ["status", "--watch"], False),
        ("watch", ["watch"], False),
    )
    for name in asked.names:
        target = kind_of(name)
        for what, words, terminal in ways:
            percent = cost([*words, name], asked.seconds, terminal=terminal)
            missed = "" if percent < AIM else f"  (aim {AIM:g} %: missed)"
            print(f"{target:<8}{what:<24}{percent:6.2f} % of a core{missed}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
