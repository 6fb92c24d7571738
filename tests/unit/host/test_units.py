"""Installed units: where they are looked for, and what their drop-ins add."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.host import units

NAME = "dsv4-test-of-units.service"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "systemd/user").mkdir(parents=True)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_a_unit_of_this_user_is_found(environ: dict[str, str], tmp_path: Path) -> None:
    assert units.find(NAME, environ) is None
    file = tmp_path / "systemd/user" / NAME
    file.write_text("[Service]\n")
    assert units.find(NAME, environ) == units.Unit(file, "[Service]\n")


def test_drop_ins_come_behind_it_by_their_names(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "systemd/user" / NAME).write_text("unit")
    drop_ins = tmp_path / "systemd/user" / f"{NAME}.d"
    drop_ins.mkdir()
    for name in ("20.conf", "10.conf", "30.txt"):
        (drop_ins / name).write_text(name)
    found = units.find(NAME, environ)
    assert found is not None
    assert found.text == "unit\n10.conf\n20.conf"


def test_what_cannot_be_read_is_no_unit(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "systemd/user" / NAME).mkdir()
    assert units.find(NAME, environ) is None


def test_the_system_comes_before_the_user_and_etc_first() -> None:
    system, user = units.folders({"HOME": "/h"})
    assert system[0] == Path("/etc/systemd/system")
    assert user[0] == Path("/h/.config/systemd/user")
