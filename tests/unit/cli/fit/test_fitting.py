"""`dsv4 fit` and `dsv4 recommend` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dsv4_launch.cli.main import main

LOG = """
INFO Model loading took 25.87 GiB memory and 60 seconds
INFO Available KV cache memory: 134.21 GiB
INFO GPU KV cache size: 20,571,235 tokens
INFO Maximum concurrency for 1,048,576 tokens per request: 19.62x
"""
NAMES = {
    "weights_gib", "overhead_gib", "available_kv_gib", "bytes_per_block", "num_blocks", "tokens", "max_concurrency",
    "resident_concurrency", "max_model_len", "sums", "engines",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


def said(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict]:
    code = main([*words, "--output", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_json_has_the_names_that_scripts_read(capsys):
    code, envelope = said(capsys, "fit")
    assert code == 0
    assert set(envelope["data"]["fit"]) >= NAMES
    assert envelope["data"]["fit"]["overhead_gib"]["low"] < envelope["data"]["fit"]["overhead_gib"]["high"]


def test_the_plan_has_the_fit(capsys):
    code, envelope = said(capsys, "plan")
    assert code == 0
    assert set(envelope["data"]["fit"]) >= NAMES


def test_people_get_a_bar(capsys):
    assert main(["fit", "flash-b200-dp8"]) == 0
    text = capsys.readouterr().out
    assert "█" in text
    assert "GiB on one GPU" in text
    assert "fitted" in text


def test_a_log_replaces_the_span_and_is_compared(capsys, tmp_path):
    (tmp_path / "log").write_text(LOG)
    assert main(["fit", "flash-b200-dp8", "--log", str(tmp_path / "log")]) == 0
    assert "logged concurrency 19.62x, computed 19.62x" in capsys.readouterr().out


def test_a_measured_start_is_remembered_for_its_layout_alone(capsys, tmp_path):
    (tmp_path / "log").write_text(LOG)
    assert said(capsys, "fit", "flash-b200-dp8", "--calibrate", str(tmp_path / "log"))[0] == 0
    again = said(capsys, "fit", "flash-b200-dp8")[1]["data"]["fit"]
    assert again["measured"]
    assert again["available_kv_gib"] == pytest.approx(134.21, abs=0.01)
    other = said(capsys, "fit", "flash-b200-dp8", "--set", "engine.max_num_batched_tokens=4096")[1]["data"]["fit"]
    assert not other["measured"]


def test_a_broken_calibration_is_no_crash(capsys, tmp_path):
    (tmp_path / "xdg/dsv4").mkdir(parents=True)
    for text in ("", "[]", '{"version": 9, "measured": {}}', '{"version": 1, "measured": {"x": 1}}'):
        (tmp_path / "xdg/dsv4/calibration.json").write_text(text)
        assert said(capsys, "fit")[0] == 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["fit", "--log", "no-such-log"], 3),
        (["fit", "--log", "x", "--available-kv-gib", "3"], 2),
        (["fit", "--available-kv-gib", "-1"], 2),
        (["fit", "parallel=tp4"], 2),
        (["fit", "--sweep", "nonsense=1"], 2),
        (["fit", "--available-kv-gib", "1", "--set", "engine.max_model_len=1048576"], 4),
        (["fit", "rehearsal-cpu"], 4),
        (["recommend", "--context", "1048576", "--concurrency", "99999"], 4),
        (["recommend", "--context", "9999999", "--concurrency", "1"], 4),
        (["recommend", "--context", "8192", "--concurrency", "1", "--gpu", "b201"], 3),
        (["recommend", "--context", "8192", "--concurrency", "1", "--model", "flashy"], 3),
    ],
)
def test_what_cannot_be_has_its_exit_code(capsys, words: list[str], code: int):
    assert said(capsys, *words)[0] == code


def test_a_sweep_takes_further_keys_after_its_option(capsys):
    code, envelope = said(capsys, "fit", "--sweep", "max_num_batched_tokens=4096..8192", "parallel=tp4,dp8")
    assert code == 0
    assert len(envelope["data"]["sweep"]) == 4


def test_a_recommendation_has_its_patch(capsys):
    code, envelope = said(capsys, "recommend", "--context", "131072", "--concurrency", "200")
    assert code == 0
    assert envelope["data"]["choices"][0]["patch"]["parallel"]["data"] >= 1


def test_the_recommended_config_is_one(capsys, tmp_path):
    words = ["recommend", "--context", "131072", "--concurrency", "200"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    config = tmp_path / "best.yaml"
    config.write_text(printed[printed.index("# config for ") :])
    code, envelope = said(capsys, "validate", str(config))
    assert (code, envelope["errors"]) == (0, [])
    assert yaml.safe_load(config.read_text()) == said(capsys, *words)[1]["data"]["choices"][0]["config"]


@pytest.mark.parametrize(("release", "code"), [("0.19.0", 4), ("0.20.5", 0)])
def test_a_release_that_is_not_known_is_said(capsys, release: str, code: int):
    assert main(["recommend", "--context", "4096", "--concurrency", "2", "--vllm", release]) == code
    assert release in capsys.readouterr().err


def test_validate_refuses_what_certainly_does_not_fit(capsys, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text('name: x\nmodel: flash\nvllm: "0.32.0"\ngpu: b200\nengine: {gpu_memory_utilization: 0.88}\n')
    code, envelope = said(capsys, "validate", str(config))
    assert code == 4
    assert [error["code"] for error in envelope["errors"]] == ["memory"]
    assert "longest that fits is" in envelope["errors"][0]["message"]
