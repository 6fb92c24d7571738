"""Deaths of real processes, explained: by serve's exit 7, and by `dsv4 diagnose` afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import until
from e2e.native_box import Box, boxes, make_home, real_home

CONFIG = Path(__file__).parents[2] / "configs/rehearsal-cpu.yaml"
OUT_OF_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    yield from boxes(tmp_path, make_home(tmp_path / "home"))


def explained(box: Box) -> list[str]:
    done = box.dsv4("diagnose", box.name, "--output", "json")
    assert done.returncode == 0, done.stderr
    return [found["id"] for found in json.loads(done.stdout)["data"]["explanations"]]


def test_serve_says_what_killed_the_server(box: Box) -> None:
    lines = OUT_OF_MEMORY + "\\n" + "  at a frame\\n" * 3_000
    died = box.serve(STANDIN_CRASH_AFTER_S="0.1", STANDIN_READY_AFTER_S="5", STANDIN_LAST_LINES=lines)
    assert died.returncode == 7
    assert "[D69]" in died.stderr
    assert "engine.gpu_memory_utilization: 0.85" in died.stderr
    assert explained(box) == ["D69"]
    human = box.dsv4("diagnose", box.name)
    assert f"{box.name}: it exited with code 1." in human.stdout
    assert "D69  error" in human.stdout


def test_serve_tells_scripts_too_and_before_the_log_is_removed(box: Box) -> None:
    env = {"STANDIN_CRASH_AFTER_S": "0.1", "STANDIN_READY_AFTER_S": "5", "STANDIN_LAST_LINES": OUT_OF_MEMORY}
    died = box.serve("--on-failure", "remove", "--output", "json", **env)
    errors = json.loads(died.stdout)["errors"]
    assert [error["code"] for error in errors] == ["server-died", "D69"]
    box.assert_gone()


def test_a_killed_server_is_explained_by_its_end(box: Box) -> None:
    assert box.serve("--detach").returncode == 0
    box.wait_for("ready")
    (pid,) = [pid for pid, words in box.processes().items() if "server.py serve" in words]
    os.kill(pid, signal.SIGKILL)
    box.wait_for("failed")
    assert explained(box) == ["D72"]


def test_a_log_with_escape_codes_and_a_long_line_is_harmless(box: Box) -> None:
    lines = "\x1b]0;owned\x07\x1b[2J" + "A" * 100_000 + "\\n\x1b[31mOSError: [Errno 98] Address already in use"
    died = box.serve(STANDIN_CRASH_AFTER_S="0.1", STANDIN_READY_AFTER_S="5", STANDIN_LAST_LINES=lines)
    human = box.dsv4("diagnose", box.name)
    assert "D82" in human.stdout
    assert "\x1b" not in died.stdout + died.stderr + human.stdout + human.stderr


def test_what_is_not_there_is_said(box: Box) -> None:
    done = box.dsv4("diagnose", "nobody")
    assert done.returncode == 5
    assert "neither a log file nor a deployment nobody" in done.stderr


REAL = {
    # As the stages of a start come: the command line, the port, the model, its weights, the memory.
    "an argument of another release": (("vllm=0.20.0", "engine.calculate_kv_scales=true"), "D83"),
    "a parser that is none": (("engine.tool_call_parser=deepseek_v9",), "D81"),
    "a port in use": ((), "D82"),
    "no model": (("model={path: /nowhere/at/all, variant: flash}",), "D76"),
    "a context longer than the model's": (("engine.max_model_len=500000",), "D79"),
    "weights that are cut off": (("model={path: TORN, variant: flash}",), "D75"),
    "a context too long for the memory": (
        ("model={path: DEEP, variant: flash}", "engine.max_model_len=131072", "engine.load_format=dummy"),
        "D22",
    ),
    "killed": ((), "D72"),
}


@pytest.mark.vllm
@pytest.mark.parametrize("case", REAL)
def test_real_vllm_dies_and_is_explained(case: str, tmp_path: Path) -> None:
    overrides, advisory = REAL[case]
    home = real_home()
    folders = {"TORN": tmp_path / "torn", "DEEP": tmp_path / "deep"}
    for folder in folders.values():
        shutil.copytree(home / "model", folder)
    os.truncate(folders["TORN"] / "model.safetensors", 300_000)
    deep = json.loads((folders["DEEP"] / "config.json").read_text())
    # 1 GiB of KV cache holds 16,384 tokens of it.
    deep |= {"num_hidden_layers": 32, "head_dim": 256, "max_position_embeddings": 1_048_576}
    (folders["DEEP"] / "config.json").write_text(json.dumps(deep))
    for box in boxes(tmp_path, home):
        box.name = "rehearsal-cpu"
        words = ["serve", str(CONFIG), "--target", "native", "--set", f"server.port={box.port}"]
        for override in overrides:
            for name, folder in folders.items():
                override = override.replace(name, str(folder))
            words += ["--set", override]
        for family in ("MDL", "DSK", "MEM", "NET", "ENG"):
            words += ["--skip", f"{family}*=a test"]
        with socket.socket() as other:
            if case == "a port in use":
                other.bind(("127.0.0.1", box.port))
                other.listen()
            serving = box.start(*words)
            if case == "killed":
                os.kill(server_of(box), signal.SIGKILL)
            _, err = serving.communicate(timeout=500)
        assert serving.returncode == 7, err
        assert f"[{advisory}]" in err
        assert explained(box)[0] == advisory
        box.wait_for_no_process()  # its supervisor ends what it left, then itself


def server_of(box: Box) -> int:
    """The process of vLLM itself, once it has said something."""
    log = box.folder_of_service / "server.log"
    until(lambda: log.exists() and b"vLLM" in log.read_bytes(), "vLLM starts", timeout_s=400)
    return int(box.record()["server"]["pid"])  # type: ignore[index]
