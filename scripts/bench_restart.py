#!/usr/bin/env python3
"""How long a restart takes: from the launch of a real vLLM container to the first token that a client gets.

    .venv/bin/python scripts/bench_restart.py --results FILE [--runs 5] [--starts N] [--lock FILE]
    .venv/bin/python scripts/bench_restart.py --results FILE --report

Three ways, in turns: `cold` (the persisted caches are empty), `warm` (the same caches, second start) and `reference`
(as the documented command does it: `--rm`, and no mount but the weights). vLLM's CPU build with the tiny model of the
rehearsals and compilation on; the words that run are those of `dsv4 render-cmd`. The clock starts with the container
(its State.StartedAt) and stops with the first token of a streamed completion, asked for ten times a second.

Needs root and scripts/rig up; makes an image with a C++ compiler. Each finished start is written to FILE at once, so
that a run goes on where the last one ended; --starts N ends it after N. --lock FILE: each start takes that file's lock.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import http.client
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "rig.d"))

from engine import gpu_engine  # noqa: E402
from images import COMPILING, make_rehearsal  # noqa: E402

VLLM = "0.32.0"
WAYS = ("cold", "warm", "reference")
NAME = "bench-restart"
CONFIG = HERE.parent / "configs/rehearsal-cpu.yaml"
DSV4 = Path(sys.executable).with_name("dsv4")
LATEST_S = 900.0
ASK_EVERY_S = 0.1
# vllm 0.32.0 v1/engine/core.py: profile, KV cache and warm-up; on the CPU torch compiles within it.
_ENGINE = re.compile(r"init engine \(.*?\) took ([\d.]+) s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="JSON, one start a line")
    parser.add_argument("--runs", type=int, default=5, help="starts of each way")
    parser.add_argument("--starts", type=int, default=10**6, help="end after so many")
    parser.add_argument("--lock", type=Path, help="hold this file's lock during each start")
    parser.add_argument("--report", action="store_true", help="only print the table of FILE")
    chosen = parser.parse_args()
    if not chosen.report:
        measure(chosen)
    print(table(read(chosen.results)))
    return 0


def measure(chosen: argparse.Namespace) -> None:
    """Make the starts that FILE still lacks."""
    engine = gpu_engine()
    home = rehearsal_home()
    with held(chosen.lock):
        make_rehearsal(engine, home / "venv", compiler=True)
    # Between runs the caches must stay: a warm start needs those of the cold one before it.
    caches = chosen.results.absolute().with_suffix(".caches")
    for number in range(
        len(read(chosen.results)), min(chosen.runs * len(WAYS), len(read(chosen.results)) + chosen.starts)
    ):
        way = WAYS[number % len(WAYS)]
        with held(chosen.lock):
            found = start(way, caches, engine.env())
        with chosen.results.open("a") as file:
            file.write(json.dumps({"way": way, **found, **machine()}) + "\n")
        print(f"  {number + 1:2} {way:9} {found['first_token_s']:6.1f} s  {found}", flush=True)
    if len(read(chosen.results)) >= chosen.runs * len(WAYS):
        shutil.rmtree(caches, ignore_errors=True)


def start(way: str, caches: Path, env: dict[str, str]) -> dict[str, float]:
    """One start to its first token; nothing of it is left but the caches."""
    if way == "cold":
        shutil.rmtree(caches, ignore_errors=True)
    port = free_port()
    sets = [f"name={NAME}", f"server.port={port}", f"container.image={COMPILING.format(version=VLLM)}"]
    # Compilation on, which rehearsals leave off; a step of the documented 65,536 tokens takes this CPU minutes.
    sets += ["engine.compilation_config.mode=3", "engine.max_num_batched_tokens=2048", "engine.max_num_seqs=64"]
    # An fp8 KV cache needs AVX-512 (vllm 0.32.0 v1/attention/backends/cpu_attn.py:540).
    sets += ["engine.kv_cache_dtype=auto"]
    sets += ["container.caches=false"] if way == "reference" else []
    words = [str(DSV4), "render-cmd", str(CONFIG), "--format", "oneline"]
    words += [word for one in sets for word in ("--set", one)]
    rendered = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if way == "reference":
        rendered = rendered.replace("docker run --detach", "docker run --detach --rm", 1)
    env = {**env, "DSV4_REHEARSAL_HOME": str(rehearsal_home()), "XDG_CACHE_HOME": str(caches)}
    load = os.getloadavg()[0]
    subprocess.run(["sh", "-c", rendered], env=env, capture_output=True, text=True, check=True)
    log = ""
    try:
        began_s = started_at(env)
        first_s = first_token(port, lambda: runs(env)) - began_s
        log = said(env)
    except TimeoutError as error:
        raise SystemExit(f"error: {error}\n" + "\n".join(said(env).splitlines()[-120:])) from None
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", NAME], env=env, capture_output=True, check=False)
    engine = _ENGINE.search(log)
    if not engine:
        raise SystemExit("error: the log does not say how long the engine's start took")
    return {"first_token_s": round(first_s, 2), "engine_s": float(engine[1]), "load_before": round(load, 2)}


def started_at(env: dict[str, str]) -> float:
    """When the engine started the container, as seconds since 1970."""
    words = ["docker", "inspect", "-f", "{{.State.StartedAt}}", NAME]
    text = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.strip()
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", text)).timestamp()


def said(env: dict[str, str]) -> str:
    """The container's log."""
    done = subprocess.run(["docker", "logs", NAME], env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def runs(env: dict[str, str]) -> bool:
    """Whether the container still runs."""
    words = ["docker", "inspect", "-f", "{{.State.Running}}", NAME]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False).stdout.strip() == "true"


def first_token(port: int, alive: Callable[[], bool]) -> float:
    """When the first token of a streamed completion came, as seconds since 1970. Raises TimeoutError."""
    body = json.dumps(
        {"model": "deepseek-ai/DeepSeek-V4-Flash", "prompt": "Hello", "max_tokens": 4, "stream": True}
    ).encode()
    deadline_s = time.monotonic() + LATEST_S
    while time.monotonic() < deadline_s and alive():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LATEST_S)
        try:
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            for line in response if response.status == 200 else ():
                if line.startswith(b"data: {") and b'"choices"' in line:
                    return time.time()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(ASK_EVERY_S)
    raise TimeoutError(f"no token within {LATEST_S:g} s, or the server ended")


def table(found: list[dict[str, object]]) -> str:
    """What FILE holds, as a table in Markdown."""
    medians = {way: [column(found, way, name) for name in ("first_token_s", "engine_s")] for way in WAYS}
    if not all(first for first, _ in medians.values()):
        return "not every way was measured yet"
    lines = [
        "| Start | Runs | First token, s: median (least to most) | Engine's start, s: median | Against reference |",
        "|---|---:|---:|---:|---:|",
    ]
    base_s = statistics.median(medians["reference"][0])
    for way, (first, engine) in medians.items():
        median_s = statistics.median(first)
        seconds = f"{median_s:.1f} ({min(first):.1f} to {max(first):.1f})"
        lines.append(
            f"| {way} | {len(first)} | {seconds} | {statistics.median(engine):.1f} | {median_s / base_s:.2f} |"
        )
    load = [float(str(row["load_before"])) for row in found]
    last = found[-1]
    words = f"{last['date']}, vLLM {VLLM} (CPU build), {last['processor']}, {last['cpus']} cores"
    return "\n".join([*lines, "", f"{words}, load {min(load):.1f} to {max(load):.1f} before a start."])


def column(found: list[dict[str, object]], way: str, name: str) -> list[float]:
    """One measured value of each start of a way."""
    return [float(str(row[name])) for row in found if row["way"] == way]


def machine() -> dict[str, object]:
    """What the numbers belong to."""
    info = Path("/proc/cpuinfo").read_text()
    name = re.search(r"^model name\s*:\s*(.+)$", info, re.M)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"date": today, "processor": name.group(1) if name else platform.machine(), "cpus": os.cpu_count()}


def read(results: Path) -> list[dict[str, object]]:
    """The starts that were made already."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def rehearsal_home() -> Path:
    """Where scripts/rig keeps the environment and the model."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("DSV4_REHEARSAL_HOME") or cache / "dsv4/rehearsal")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Hold a lock file, where one is named: other heavy work on this machine waits meanwhile."""
    with (lock or Path(tempfile.gettempdir()) / f"{NAME}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
