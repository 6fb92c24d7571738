"""`dsv4 bench tune`: a misspelt name is told as such, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.cli.main import main


@pytest.mark.parametrize(
    ("vary", "where", "meant"),
    [
        (["max_num_seq=3,4"], "--vary max_num_seq", "Did you mean max_num_seqs?"),
        (["paralel.tensor=2,4", "max_num_seqs=8,16"], "--vary paralel.tensor", "Did you mean parallel.tensor?"),
        (["parallel.tensr=2,4"], "--vary parallel.tensr", "Did you mean tensor?"),
        (["block_size=many,most"], "--vary block_size", "a whole number"),
    ],
)
def test_a_name_that_no_config_has_is_told_once_and_nothing_is_written(
    vary: list[str], where: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    words = [word for axis in vary for word in ("--vary", axis)]
    assert main(["bench", "tune", "flash-b200", "--dir", str(folder), *words]) == 3
    said = capsys.readouterr()
    assert f"--> {where}\n" in said.err
    assert meant in said.err
    assert said.err.count("Did you mean") <= 1
    assert not folder.exists()
