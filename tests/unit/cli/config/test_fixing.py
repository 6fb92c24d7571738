"""`dsv4 validate --fix`: known remedies, written into the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsv4_launch.cli.configs import builtins
from dsv4_launch.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["validate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def changes(capsys: pytest.CaptureFixture[str], config: Path) -> list[dict]:
    code, out, _ = run(capsys, str(config), "--fix", "--output", "json")
    assert code == 0
    return json.loads(out)["data"]["files"][0]["changes"]


def test_fix_mends_the_file_and_says_what(capsys, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_bytes(builtins()["flash-b200"].read_bytes())
    config.chmod(0o640)
    assert [change["path"] for change in changes(capsys, config)] == ["vllm", "engine.max_num_batched_tokens"]
    assert 'vllm: "0.20.2"' in config.read_text("utf-8")
    assert config.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    before = config.read_bytes()
    assert changes(capsys, config) == []
    assert config.read_bytes() == before


def test_fix_follows_a_link_and_leaves_it_one(capsys, tmp_path):
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_bytes(builtins()["flash-b200"].read_bytes())
    link.symlink_to(real)
    assert run(capsys, str(link), "--fix")[0] == 0
    assert link.is_symlink()
    assert "0.20.2" in real.read_text("utf-8")


@pytest.mark.parametrize("by_path", [False, True])
def test_fix_never_changes_a_built_in(capsys, by_path):
    path = builtins()["flash-b200"]
    before = path.read_bytes()
    code, _, err = run(capsys, str(path) if by_path else "flash-b200", "--fix")
    assert code == 0
    assert "not changed" in err
    assert path.read_bytes() == before


def test_fix_and_set_exclude_each_other(capsys, tmp_path):
    assert run(capsys, "flash-b200", "--fix", "--set", "engine.max_num_seqs=1")[0] == 2


def test_fix_leaves_what_it_cannot_read(capsys, tmp_path):
    config = tmp_path / "bad.yaml"
    config.write_bytes(b"name: \xff\n")
    assert run(capsys, str(config), "--fix")[0] == 3
    assert config.read_bytes() == b"name: \xff\n"
