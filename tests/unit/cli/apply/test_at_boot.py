"""An installed unit that launches another config than the one applied is told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.cli.apply.at_boot import other_at_boot
from dsv4_launch.cli.configs import load_config
from dsv4_launch.cli.main import main
from dsv4_launch.plan.resolve import resolve

CONFIG = "{name: of-a-test, model: flash, gpu: cpu, target: {type: native}, server: {port: 8123}}"


@pytest.fixture
def unit_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "systemd/user"
    folder.mkdir(parents=True)
    return folder / "dsv4-of-a-test.service"


def install(unit_file: Path, config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    assert main(["unit", str(config), *words]) == 0
    unit_file.write_text(capsys.readouterr().out)


def test_the_same_file_or_one_that_says_the_same_is_nothing_to_tell(
    tmp_path: Path, unit_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, copy = tmp_path / "my config.yaml", tmp_path / "copy.yaml"
    config.write_text(CONFIG)
    copy.write_text(f"# a copy\n{CONFIG}")
    assert other_at_boot(resolve(load_config(str(config)))) == "", "no unit is installed"
    install(unit_file, config, capsys)
    assert other_at_boot(resolve(load_config(str(config)))) == ""
    assert other_at_boot(resolve(load_config(str(copy)))) == ""


def test_another_config_is_told_with_the_fix(
    tmp_path: Path, unit_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "my config.yaml"
    config.write_text(CONFIG)
    install(unit_file, config, capsys)
    said = other_at_boot(resolve(load_config(str(config), ["server.port=8124"])))
    assert f"({unit_file}) launches {config}, which says something else" in said
    assert f"`dsv4 show of-a-test > '{config}'`" in said
    config.unlink()
    said = other_at_boot(resolve(load_config("rehearsal-cpu", ["name=of-a-test"])))
    assert f"launches {config}, which is not valid here (There is no such file)" in said


def test_a_unit_that_names_a_built_in_config_needs_another_unit(
    unit_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit_file.write_text("[Service]\nExecStart=/usr/bin/dsv4 serve rehearsal-cpu --target native --attach\n")
    said = other_at_boot(resolve(load_config("rehearsal-cpu", ["name=of-a-test"])))
    assert f"`dsv4 unit FILE > {unit_file}`" in said


def test_a_unit_that_is_not_ours_is_left_alone(unit_file: Path) -> None:
    unit_file.write_text("[Service]\nExecStart=/usr/bin/docker start -a of-a-test\n")
    assert other_at_boot(resolve(load_config("rehearsal-cpu", ["name=of-a-test"]))) == ""
