"""`dsv4 unit`: what of this machine stands in a unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.cli.main import main


def test_paths_are_absolute_wherever_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "x.yaml").write_text("{name: x, model: flash, gpu: cpu, target: {type: native}}")
    (tmp_path / "dsv4").touch()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setattr("sys.argv", ["../dsv4"])
    assert main(["unit", "../x.yaml"]) == 0
    assert f"ExecStart={tmp_path}/dsv4 serve {tmp_path}/x.yaml --target native --attach\n" in capsys.readouterr().out


def test_a_launch_that_needs_a_skip_keeps_it_in_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unit", "--program", "/usr/bin/dsv4", "--skip", "net004=a firewall, 100% of it"]) == 0
    said = capsys.readouterr().out
    assert 'serve flash-b200 --target docker --skip "NET004=a firewall, 100%% of it" --attach\n' in said
    assert main(["unit", "--skip", "NET999=x"]) == 2
    assert main(["unit", "--skip", "NET004"]) == 2
    assert main(["unit", "--skip", "NET004=x\nExecStartPre=/bin/evil"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("option", ["--user", "--program", "--environment-file"])
def test_no_line_is_smuggled_into_a_unit(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unit", option, "x\nExecStartPre=/bin/evil"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "line break" in said.err
