"""Commands as people show them to each other: shortened, of other models, with programs of their own."""

from __future__ import annotations

import pytest

from dsv4_launch.cli.convert.repairing import repaired
from dsv4_launch.convert.lint.judge import lint

IMAGE = "vllm/vllm-openai:v0.28.0"
MODEL = "deepseek-ai/DeepSeek-V4-Flash"
# What is said of a container that lacks something: nobody knows that of one whose options are left out.
LACKS = {"no-gpus", "port-not-published", "weights-not-kept", "moving-tag", "D47", "D30", "no-arguments", "no-model"}


def codes(text: str) -> dict[str, str]:
    return {f.code: f.severity for verdict in lint(text) for f in verdict.findings}


@pytest.mark.parametrize("dots", ["...", "…"])
def test_words_that_were_left_out_are_said_and_nothing_is_missed_for_them(dots: str) -> None:
    found = codes(f"docker run {dots} {IMAGE} {MODEL} --kv-cache-dtype fp8 --tensor-parallel-size 4 {dots}")
    assert found["left-out"] == "info"
    assert not LACKS & set(found)
    native = codes(f"vllm serve {MODEL} {dots} --max-model-len 4096")
    assert native["left-out"] == "info"
    assert "error" not in native.values()
    # Beside them the image is read: its release judges.
    (verdict,) = lint(f"docker run {dots} {IMAGE} {MODEL} --block-size 16")
    assert verdict.imported.engine.release.version == "0.28.0"


def test_a_program_in_the_place_of_vllm_is_not_judged_as_one() -> None:
    text = f"docker run --gpus all -v $(pwd):/app --entrypoint bash {IMAGE} -c 'python3 /app/start.py'"
    assert codes(text) == {"own-program": "info"}
    assert "no-model" not in repaired(lint(text)[0], text)
    inside = f"docker run --gpus all --entrypoint bash {IMAGE} -c 'vllm serve {MODEL} --block-size 16'"
    assert "own-program" not in codes(inside)
    assert codes(inside)["block-size-256"] == "error"


def test_what_holds_of_the_model_is_not_said_of_another_one() -> None:
    assert "pipeline-needs-0.21" not in codes("docker run vllm/vllm-openai:v0.20.0 Qwen/Qwen3-32B -pp 2")
    assert "pipeline-needs-0.21" in codes(f"docker run vllm/vllm-openai:v0.20.0 {MODEL} --kv-cache-dtype fp8 -pp 2")


@pytest.mark.parametrize(
    "kept",
    ['-v "$HOME"/.cache:/home/me/.cache', "-v /srv/models:/srv/models"],
)
def test_weights_in_a_folder_of_the_host_are_kept(kept: str) -> None:
    command = f"docker run --gpus all {kept} {IMAGE} {MODEL} --kv-cache-dtype fp8 --download-dir /srv/models/hub"
    assert "weights-not-kept" not in codes(command)
    assert "weights-not-kept" in codes(f"docker run --gpus all -v /srv/x:/x {IMAGE} {MODEL} --download-dir /srv/y")


def test_a_whole_command_in_one_word_of_a_manifest_is_read_and_said() -> None:
    text = f"""apiVersion: v1
kind: Pod
metadata: {{name: x}}
spec:
  containers:
  - name: vllm
    image: {IMAGE}
    command:
    - "python3 -m vllm.entrypoints.openai.api_server --model {MODEL} --kv-cache-dtype fp8"
"""
    found = codes(text)
    assert found["one-word-command"] == "error"
    assert [code for code, severity in found.items() if severity == "error"] == ["one-word-command"]
    (verdict,) = lint(text)
    assert verdict.imported.engine.parsed.model == MODEL


def test_a_guess_is_asked_and_not_done() -> None:
    text = f"vllm serve {MODEL} --omni --max-model-length 4096"
    (verdict,) = lint(text)
    command = repaired(verdict, text)
    assert "--config" not in command
    assert "left out: --omni" in command


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("--tensor-paralel-size 2", "--tensor-parallel-size"),
        ("--num-speculative-tokens 2", "--speculative-config"),
        ("--omni", None),  # another program's
    ],
)
def test_an_option_that_is_like_none_brings_no_guess(written: str, asked: str | None) -> None:
    (verdict,) = lint(f"docker run {IMAGE} {MODEL} {written}")
    (unknown,) = [one for one in verdict.findings if one.code == "unknown-option"]
    assert (f"Did you mean {asked}?" if asked else "") == unknown.fix
