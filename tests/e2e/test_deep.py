"""`dsv4 validate --deep`: the real vLLM 0.32.0 judges, in a container without network and in an environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import Node, until
from e2e.native_box import real_home

IMAGE = "dsv4-rehearsal-cpu:0.32.0"
GOOD = """name: asked
model: flash
vllm: "0.32.0"
gpu: b200
parallel: {tensor: 4, expert: true}
engine:
  indexer_cache_dtype: fp4
  kv_cache_dtype: fp8
  max_num_batched_tokens: 16384
"""
# Right for its own release; the one that is asked no longer has the name on line 8.
GONE = GOOD.replace("0.32.0", "0.27.1").replace(
    "  indexer_cache_dtype: fp4\n", "  attention_config:\n    use_fp4_indexer_cache: true\n"
)

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(700)]


def asked(node: Node, *words: object) -> tuple[int, dict[str, Any]]:
    done = node.dsv4("validate", *words, "--deep", "--output", "json", timeout_s=660)
    said = json.loads(done.stdout)
    assert said["exit_code"] == done.returncode, done.stderr
    return done.returncode, said


def test_an_image_takes_what_is_right_and_points_at_the_line_of_what_is_not(node: Node, tmp_path: Path) -> None:
    good, gone = tmp_path / "good.yaml", tmp_path / "gone.yaml"
    good.write_text(GOOD)
    gone.write_text(GONE)

    code, said = asked(node, good, gone, "--image", IMAGE)

    assert code == 3
    taken, refused = said["data"]["files"]
    assert taken["ok"], taken["errors"]
    assert taken["deep"]["asked"] == IMAGE
    assert taken["deep"]["vllm"].startswith("0.32.0")
    # What vLLM settled by itself on simulated B200s.
    assert taken["deep"]["decided"]["max_model_len"] == "1048576"
    assert not refused["ok"]
    (error,) = refused["errors"]
    assert error["code"] == "deep-refused"
    assert "use_fp4_indexer_cache" in error["message"]
    line = int(error["where"].removeprefix(f"{gone}:"))
    assert GONE.splitlines()[line - 1].strip() in {"attention_config:", "use_fp4_indexer_cache: true"}
    assert "deep-other-release" in {warning["code"] for warning in refused["warnings"]}
    until(lambda: "dsv4-deep-" not in node.docker("ps", "--all", "--format", "{{.Names}}"), "its container is gone")


def test_an_environment_says_of_a_builtin_which_rule_it_does_not_take(node: Node) -> None:
    code, said = asked(node, "flash-b200", "--python", real_home() / "venv")

    assert code == 3
    (verdict,) = said["data"]["files"]
    (error,) = verdict["errors"]
    assert "use_fp4_indexer_cache" in error["message"]
    assert error["where"] == "flash-b200.yaml" or error["where"].startswith("flash-b200.yaml:")
    assert "attention_config.use_fp4_indexer_cache" in error["fix"]


def test_an_image_without_vllm_is_said(node: Node) -> None:
    done = node.dsv4("validate", "flash-b200", "--deep", "--image", "dsv4-standin:latest", timeout_s=300)

    assert done.returncode == 6
    assert "vLLM could not be asked" in done.stderr
    assert "--deep" not in done.stdout
