"""`dsv4 rehearse`: on a stand-in for what can go wrong, and once on real vLLM with the documented deployment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import memory
from e2e.native_box import Box, boxes, make_home, real_home

CONFIG = "flash-b200"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box whose rehearsal environment is the stand-in, under the name that a rehearsal of the config has."""
    home = make_home(tmp_path / "home")
    for box in boxes(tmp_path, home):
        box.name = f"{CONFIG}-rehearsal"
        (home / "venv/bin").mkdir(parents=True)
        shutil.copy(box.vllm, home / "venv/bin/vllm")
        yield box


def rehearse(box: Box, *words: str, **env: str):
    return box.dsv4("rehearse", CONFIG, "--set", f"server.port={box.port}", *words, **env)


def test_says_what_differs_and_leaves_nothing(box: Box) -> None:
    done = rehearse(box)
    assert done.returncode == 0, done.stderr
    assert "A stand-in answers." in done.stdout
    assert f"http://127.0.0.1:{box.port}/v1" in done.stdout
    for changed in ("gpu: cpu", "vllm: 0.32.0", "parallel.tensor: 1", "indexer_cache_dtype: left out"):
        assert changed in done.stderr
    box.assert_gone()


def test_keep_leaves_it_running(box: Box) -> None:
    done = rehearse(box, "--keep", "--output", "json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["rehearsal"]["kept"] is True
    assert set(data["rehearsal"]["phases_s"]) == {"prepare", "start", "smoke"}
    assert {change["kind"] for change in data["changes"]} == {"override"}
    assert box.state_of() == "ready"
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_makes_the_model_when_only_that_is_missing(box: Box) -> None:
    home = Path(box.env["DSV4_REHEARSAL_HOME"])
    shutil.rmtree(home / "model")
    done = rehearse(box)
    assert done.returncode == 0, done.stderr
    assert (home / "model/model.safetensors").is_file()
    box.assert_gone()


def test_without_the_environment_it_names_the_command_that_makes_it(box: Box) -> None:
    shutil.rmtree(Path(box.env["DSV4_REHEARSAL_HOME"]) / "venv")
    done = rehearse(box)
    assert done.returncode == 5
    assert "scripts/vllm_cpu_env.py" in done.stderr
    box.assert_gone()


def test_a_crash_is_exit_7_and_leaves_nothing(box: Box) -> None:
    done = rehearse(box, STANDIN_CRASH_AFTER_S="0.1", STANDIN_READY_AFTER_S="5")
    assert done.returncode == 7
    assert "Engine core initialization failed" in done.stderr
    box.assert_gone()


def test_a_wrong_answer_is_exit_8_and_leaves_nothing(box: Box) -> None:
    standin = (Path(__file__).parent / "standin/server.py").read_text()
    box.server.write_text(standin.replace('"choices": [choice], "usage": usage', '"choices": []'))
    done = rehearse(box)
    assert done.returncode == 8, done.stderr
    assert "is up but does not complete" in done.stderr
    box.assert_gone()


def test_a_busy_port_is_no_obstacle(box: Box) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", box.port))
        other.listen()
        done = rehearse(box)
    assert done.returncode == 0, done.stderr
    assert f"instead of {box.port}" in done.stderr
    box.assert_gone()


@pytest.mark.parametrize("when", ["start", "smoke"])
def test_ctrl_c_stops_it(box: Box, when: str) -> None:
    standin = (Path(__file__).parent / "standin/server.py").read_text()
    # The first completion makes it ready; the second, the smoke test's, never comes.
    slow = "            time.sleep(600 if ASKED else ASKED.append(1) or 0) or self.complete("
    box.server.write_text(
        standin.replace("            self.complete(", slow).replace("\n\n\nclass ", "\n\nASKED = []\n\n\nclass ", 1)
    )
    words = ("rehearse", CONFIG, "--set", f"server.port={box.port}")
    process = box.start(*words, **({"STANDIN_HANG": "1"} if when == "start" else {}))
    assert process.stderr
    reached = "asking it for two completions" if when == "smoke" else "Rehearsing as"
    err = ""
    while reached not in err:
        line = process.stderr.readline()
        assert line, err
        err += line
    if when == "start":
        time.sleep(3)
    os.kill(process.pid, signal.SIGINT)
    err += process.communicate(timeout=150)[1]
    assert process.returncode == 130, err
    assert ("asking it for two completions" in err) is (when == "smoke")
    box.assert_gone()


@pytest.mark.vllm
@pytest.mark.timeout(1200)
def test_documented_deployment_on_real_vllm(tmp_path: Path) -> None:
    for box in boxes(tmp_path, real_home()):
        box.name = f"{CONFIG}-rehearsal"
        before = memory.segments()
        done = box.dsv4("rehearse", CONFIG, "--set", f"server.port={box.port}", "--output", "json", timeout_s=1000)
        assert done.returncode == 0, done.stdout + done.stderr
        data = json.loads(done.stdout)["data"]["rehearsal"]
        assert data["completion"]["tokens"] >= 1
        assert data["models"] == ["deepseek-ai/DeepSeek-V4-Flash"]
        box.assert_gone()
        memory.wait_for_none_since(before)
