"""`dsv4 bench tune` on native services: launched, measured and stopped one after the other; the best one is written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dsv4_launch.bench.tune import parse_tune
from e2e.bench_box import DSV4, STANDIN
from e2e.conftest import until
from e2e.ports import free_port

WORDS = ("--input-len", "16", "--output-len", "8", "--requests-per-concurrency", "4", "--rest", "0")
CLIENT = ("--client-python", sys.executable, "--tokenizer", "none")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    program = tmp_path / "vllm"
    server = STANDIN / "calibrated_vllm.py"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo 0.32.0+cpu && exit\nexec {sys.executable} {server} "$@"\n'
    )
    program.chmod(0o755)
    data = {
        "name": f"tune-{os.getpid()}",
        "model": "flash",
        "gpu": "cpu",
        "server": {"port": free_port(), "served_model_name": "tiny"},
        "target": {"type": "native", "executable": str(program)},
    }
    path = tmp_path / "tuned.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    env = {
        **os.environ,
        "PYTHONPATH": str(STANDIN / "quick"),
        "DSV4_STATE_DIR": str(folder / "state"),
    }
    return subprocess.Popen(
        [DSV4, "bench", "tune", *words, *CLIENT],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def servers(folder: Path) -> list[str]:
    """Servers of this test's state folder that still run."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    port = str(yaml.safe_load((folder / "tuned.yaml").read_text())["server"]["port"])
    return [line for line in listed.splitlines() if "calibrated.py" in line and f"--port {port} " in line]


def test_the_best_configuration_is_found_and_written(config: Path, tmp_path: Path) -> None:
    vary = ("--vary", "max_num_seqs=2,13,8", "--vary", "block_size=256,seven")
    process = start(tmp_path, str(config), "--dir", "out", "--concurrency", "8", *WORDS, *vary, "--output", "json")
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    data = json.loads(out)["data"]
    states = {tuple(c["overrides"]): c["state"] for c in data["candidates"]}
    assert states[("engine.max_num_seqs=2", "engine.block_size=256")] == "measured"
    assert states[("engine.max_num_seqs=13", "engine.block_size=256")] == "failed"
    assert states[("engine.max_num_seqs=8", "engine.block_size=256")] == "measured"
    assert {state for words, state in states.items() if "engine.block_size=seven" in words} == {"skipped"}
    assert all(c["why"] for c in data["candidates"] if c["state"] in ("failed", "skipped"))
    best = yaml.safe_load((tmp_path / "out/best.yaml").read_text())
    assert best["engine"]["max_num_seqs"] == 8
    assert data["winner"]["key"] == "t05"
    assert servers(tmp_path) == []
    # Both that were measured lie over one another, each under its own name.
    assert data["report"]["why"] == ""
    assert data["report"]["files"][0] == "out/report/report.html"
    table = (tmp_path / "out/report/points.csv").read_text()
    assert {line.split(",")[0].rpartition("(")[2] for line in table.splitlines()[1:]} >= {"t01)", "t05)"}
    done = subprocess.run([DSV4, "validate", "out/best.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_interrupted_tuning_stops_its_server_and_goes_on(config: Path, tmp_path: Path) -> None:
    vary = ("--vary", "max_num_seqs=1,8")
    long = ("--input-len", "16", "--output-len", "100", "--requests-per-concurrency", "2", "--rest", "0")
    process = start(tmp_path, str(config), "--dir", "out", "--concurrency", "4", *long, *vary)
    until(lambda: (tmp_path / "out/t01/run.json").exists(), "the first configuration is measured", 120)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 130, err
    assert servers(tmp_path) == []
    doc = parse_tune((tmp_path / "out/tune.json").read_bytes(), "x")
    assert [c.state for c in doc.candidates] == ["planned", "planned"]
    assert re.search(r"`dsv4 bench tune --resume out --tokenizer none --client-python \S+` goes on", err)
    process = start(tmp_path, "--resume", "out", "--no-report")
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    doc = parse_tune((tmp_path / "out/tune.json").read_bytes(), "x")
    assert [c.state for c in doc.candidates] == ["measured", "measured"]
    assert doc.workload.output_len == 100
    assert "best: t02" in out
    assert servers(tmp_path) == []


def test_what_cannot_fit_is_skipped_before_anything_is_launched(config: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "flash-b200", "--dir", "out", *WORDS, "--vary", "gpu_memory_utilization=0.1,0.2")
    _, err = process.communicate(timeout=150)
    assert process.returncode == 4, err
    doc = parse_tune((tmp_path / "out/tune.json").read_bytes(), "x")
    assert [c.state for c in doc.candidates] == ["skipped", "skipped"]
    assert all("KV cache" in c.why or "memory" in c.why for c in doc.candidates)
    assert "Launching" not in err
