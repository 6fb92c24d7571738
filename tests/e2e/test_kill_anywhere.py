"""kill -9 of dsv4 at random moments of serve, stop and apply: what is left is known, can be stopped, served again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from e2e import here
from e2e.conftest import Node, name_of
from e2e.native_box import Box, boxes, make_home

pytestmark = pytest.mark.timeout(1800)
# The moments are the same in every run unless told otherwise; the machine's load moves them: more are met over time.
POINTS = int(os.environ.get("DSV4_KILL_POINTS", "25"))
SEED = int(os.environ.get("DSV4_KILL_SEED", "20260811"))
KNOWN = {"absent", "starting", "ready", "failed", "stopped"}
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def box(tmp_path: Path, home: Path) -> Iterator[Box]:
    yield from boxes(tmp_path, home)


def state_of(run: Run, name: str) -> str:
    told = run("status", name, "--window", "0", "--output", "json")
    assert told.returncode == 0, told.stdout + told.stderr
    return str(json.loads(told.stdout)["data"]["deployments"][0]["state"])


def walk(run: Run, start: Start, name: str, plans: tuple[Path, Path], gone: Callable[[], None]) -> None:
    """Kill commands at random moments, and ask after each what there is."""
    chance = random.Random(SEED)
    started = time.monotonic()
    assert run("serve", plans[0]).returncode == 0
    whole_s = time.monotonic() - started
    seen = set()
    for n in range(POINTS):
        words: tuple[object, ...] = chance.choice(
            [
                ("serve", plans[0]),
                ("stop", name, "--timeout", "5"),
                ("apply", plans[n % 2], "--yes", "--smoke", "short"),
                ("apply", plans[n % 2], "--yes", "--smoke", "short"),
            ]
        )
        process = start(*words)
        moment_s = chance.uniform(0.1, 1.0) * whole_s * (2 if words[0] == "apply" else 1)
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that is faster than that is not waited for
            process.communicate(timeout=moment_s)
        process.kill()
        process.communicate()
        seen.add(state := state_of(run, name))
        assert state in KNOWN, (n, words, state)
        if n % 6 == 5:
            if state_of(run, name) != "absent":
                stopped = run("stop", name, "--timeout", "5")
                assert stopped.returncode == 0, (n, words, stopped.stderr)
            gone()
            served = run("serve", plans[0])
            assert served.returncode == 0, (n, words, served.stderr)
    assert "ready" in seen
    assert run("stop", name, "--timeout", "5").returncode == 0
    gone()
    assert run("history", name).returncode == 0


def half_files(folder: Path) -> list[Path]:
    """Files that a killed process left half made, other than those whose maker still runs."""
    return [path for path in folder.rglob("*") if path.name.startswith((".service.json.", ".launch.json."))]


def test_native(box: Box) -> None:
    box.write('env: {STANDIN_REPLY: "a"}')
    other = box.folder / "other.yaml"
    other.write_text(box.config.read_text().replace('"a"', '"b"'))

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        if words[0] != "serve":
            return here.dsv4(box.env, *words)
        done = box.dsv4(*map(str, words), "--detach")
        if done.returncode == 0:
            box.wait_for("ready")
        return done

    def start(*words: object) -> subprocess.Popen[str]:
        return box.start(*map(str, words))

    def gone() -> None:
        box.assert_gone()
        assert not half_files(box.state)

    walk(run, start, box.name, (box.config, other), gone)


def test_docker(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "0.3", "REPLY": "a"})
    data = yaml.safe_load(config.read_text())
    data["env"]["STANDIN_REPLY"] = "b"
    other = node.folder / "other.yaml"
    other.write_text(yaml.safe_dump(data, sort_keys=False))
    name = name_of(config)

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return node.dsv4(*words) if words[0] == "serve" else here.dsv4(node.env, *words)

    def gone() -> None:
        assert node.state(name) == ""
        assert not half_files(node.folder)

    walk(run, node.start, name, (config, other), gone)
