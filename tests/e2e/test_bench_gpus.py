"""GPU power, clocks and what holds them down, sampled by `dsv4 bench run` from an NVML at its C boundary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsv4_launch.run.bench import store
from e2e.bench_box import QUICK, Bench, benches
from e2e.nvml_shim import build_shim

GPUS = """driver 580.95.05
cuda 13000
gpu NVIDIA B200
memory 183359 1000
power 700000 1000000
ramp 10000 -5
clocks 1900 3996 1965 3996
use 97
temperature 64
throttle 0x4
gpu NVIDIA B200
memory 183359 1000
power 300000 1000000
throttle 0x1
fail nvmlDeviceGetTemperature 3
fail nvmlDeviceGetUtilizationRates 15
"""
# Two looks at each GPU, as the sampler takes them.
LOOK = """
import json
from dsv4_launch.host.gpu_load import GpuWatch
from dsv4_launch.values import to_data
watch = GpuWatch()
looks = [[to_data(gpu) for gpu in watch.sample()] for _ in range(2)]
limits = [to_data(gpu) for gpu in watch.limits()]
print(json.dumps({"driver": watch.driver, "cuda": watch.cuda, "limits": limits, "looks": looks}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nvml")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from benches(tmp_path)


def shim(library: Path, folder: Path, text: str = GPUS) -> dict[str, str]:
    topology = folder / "topology.txt"
    topology.write_text(text)
    return build_shim(library, str(topology))


def look(env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=os.environ | env, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_each_look_reads_every_gpu_and_what_one_does_not_tell_is_none(library: Path, tmp_path: Path) -> None:
    found = look(shim(library, tmp_path))
    assert (found["driver"], found["cuda"]) == ("580.95.05", "13.0")
    limits: dict[str, Any] = {"name": "NVIDIA B200", "memory_total_mib": 183359, "power_limit_w": 1000.0}
    limits |= {"sm_clock_max_mhz": 1965, "memory_clock_max_mhz": 3996}
    assert found["limits"] == [{"index": index, **limits} for index in range(2)]
    (first, other), (second, _) = found["looks"]
    held: dict[str, Any] = {"temperature_c": 64, "utilization": 0.97, "throttled": ["power cap"]}
    assert first == {"index": 0, "power_w": 700.0, "sm_clock_mhz": 1900, "memory_clock_mhz": 3996, **held}
    assert second == {"index": 0, "power_w": 710.0, "sm_clock_mhz": 1895, "memory_clock_mhz": 3996, **held}
    # An idle clock is held down by nothing.
    assert other["throttled"] == []
    assert (other["temperature_c"], other["utilization"], other["power_w"]) == (None, None, 300.0)


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        ("0x2", ["set by an administrator"]),
        ("0x48", ["hardware slowdown", "hardware thermal"]),
        ("0x20", ["software thermal"]),
        ("0x80", ["power brake"]),
    ],
)
def test_what_holds_a_clock_down_has_a_name(library: Path, tmp_path: Path, bits: str, said: list[str]) -> None:
    looks = look(shim(library, tmp_path, f"driver 580.95.05\ncuda 13000\ngpu NVIDIA B200\nthrottle {bits}\n"))["looks"]
    assert looks[0][0]["throttled"] == said


@pytest.mark.parametrize("text", ["init 9\n", "driver 580.95.05\ncuda 13000\n"])
def test_without_driver_or_gpu_nothing_is_read(library: Path, tmp_path: Path, text: str) -> None:
    found = look(shim(library, tmp_path, text))
    assert found["looks"] == [[], []]
    assert found["limits"] == []


def test_a_point_says_what_its_gpus_did_and_the_run_which_they_are(bench: Bench, library: Path) -> None:
    server = bench.server("--ttft-ms", "60", "--itl-ms", "100")
    folder = bench.folder / "run"
    words = ("--url", server.url, "--dir", str(folder), *QUICK, "--concurrency", "2", "--warmup", "0")
    size = ("--input-len", "16", "--output-len", "50", "--requests-per-concurrency", "1")
    done = bench.run(*words, *size, **shim(library, bench.folder))
    assert done.returncode == 0, done.stderr
    found = store.load(folder)
    print_ = found.run.fingerprint
    assert (print_.driver, print_.cuda, len(print_.gpus)) == ("580.95.05", "13.0", 2)
    assert (print_.gpus[0].power_limit_w, print_.gpus[0].sm_clock_max_mhz) == (1000.0, 1965)
    side = found.measured[0].side
    assert side is not None
    busy, idle = side.gpus
    lines = (folder / "points/c0002-r1.samples.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == "gpu" and row["main"]]
    assert len(rows) >= 2
    power = [row["gpus"][0]["power_w"] for row in rows]
    clocks = [row["gpus"][0]["sm_clock_mhz"] for row in rows]
    assert power == sorted(set(power)), "each sample is a new look"
    assert busy.power_max_w == power[-1]
    assert busy.power_mean_w == pytest.approx(sum(power) / len(power), abs=0.001)
    assert busy.sm_clock_min_mhz == clocks[-1] == min(clocks)
    assert busy.sm_clock_mean_mhz == pytest.approx(sum(clocks) / len(clocks), abs=0.001)
    assert (busy.temperature_max_c, busy.utilization_mean, busy.throttled) == (64, 0.97, ("power cap",))
    assert (idle.power_mean_w, idle.temperature_max_c, idle.utilization_mean, idle.throttled) == (300.0, None, None, ())
