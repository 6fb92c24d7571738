from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsv4_launch.cli.configs import builtins
from dsv4_launch.cli.main import main

TEXT = """\
# mine
name: x
model: flash
vllm: "0.29.0"  # ours
gpu: b200
parallel: {tensor: 4, expert: true}
engine:
  kv_cache_dtype: fp8
  attention_config.use_fp4_indexer_cache: true
"""
MOVED = TEXT.replace("0.29.0", "0.30.0").replace(
    "attention_config.use_fp4_indexer_cache: true", "indexer_cache_dtype: fp4"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


def test_the_file_is_edited_in_place_and_every_change_is_said(file, capsys):
    assert main(["migrate", str(file), "--to", "0.30.0"]) == 0
    out = capsys.readouterr().out
    assert file.read_text() == MOVED
    assert file.stat().st_mode & 0o777 == 0o640
    assert f"{file}:4: vllm 0.29.0 becomes 0.30.0" in out
    assert (
        f"{file}:9: engine.attention_config.use_fp4_indexer_cache true becomes engine.indexer_cache_dtype: fp4" in out
    )
    assert main(["migrate", str(file), "--to", "0.30.0"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert file.read_text() == MOVED


def test_check_writes_nothing_and_ends_in_10_until_it_is_done(file, capsys):
    assert main(["migrate", str(file), "--to", "0.30.0", "--check"]) == 10
    said = capsys.readouterr()
    assert "vllm 0.29.0 becomes 0.30.0" in said.out
    assert "moved to 0.30.0 it c" in said.err
    assert file.read_text() == TEXT
    file.write_text(MOVED)
    assert main(["migrate", str(file), "--to", "0.30.0", "--check"]) == 0


def test_stdout_gets_the_text_and_nothing_else(file, capsys):
    assert main(["migrate", str(file), "--to", "0.30.0", "--stdout"]) == 0
    said = capsys.readouterr()
    assert said.out == MOVED
    assert "becomes 0.30.0" in said.err
    assert file.read_text() == TEXT


def test_a_refusal_leaves_the_file_alone(file, capsys):
    file.write_text(TEXT + "  speculative_config: {method: medusa, model: x/y, num_speculative_tokens: 2}\n")
    before = file.read_text()
    assert main(["migrate", str(file), "--to", "0.33.0"]) == 4
    assert f"{file}:10" in capsys.readouterr().err
    assert file.read_text() == before


@pytest.mark.parametrize("config", ["flash-b200", str(builtins()["flash-b200"])])
def test_a_built_in_is_copied_not_edited(config, capsys):
    assert main(["migrate", config, "--to", "0.33.0"]) == 3
    assert "--stdout > my.yaml" in capsys.readouterr().err
    assert main(["migrate", config, "--to", "0.33.0", "--stdout"]) == 0
    assert 'vllm: "0.33.0"' in capsys.readouterr().out


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--to", "0.34.0"], 3)])
def test_a_release_is_needed_and_known(file, words, code, capsys):
    assert main(["migrate", str(file), *words]) == code
    assert "0.33.0" in capsys.readouterr().err


def test_scripts_get_changes_notes_and_text(file, capsys):
    assert main(["migrate", str(file), "--to", "0.30.0", "--check", "--stdout", "--output", "json"]) == 10
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["exit_code"], told["errors"][0]["code"]) == ("error", 10, "not-migrated")
    assert [change["path"] for change in told["data"]["changes"]] == [
        "vllm",
        "engine.attention_config.use_fp4_indexer_cache",
    ]
    assert told["data"]["text"] == MOVED
    assert told["data"]["written"] is False
