"""The folder of a native service: what is written is read, what is not whole is told, and one launches at a time."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

from dsv4_launch.errors import HostError
from dsv4_launch.run import state
from dsv4_launch.run.native import service as native_service
from dsv4_launch.run.native import service_folder
from dsv4_launch.run.native.service_file import DamagedError, Record, parse
from dsv4_launch.run.processes import Process

RECORD = Record(
    name="flash",
    digest="d1",
    config={"name": "flash", "engine": {"block_size": 256}},
    user="ann",
    argv=("vllm", "serve", "m"),
    port=8000,
    base_url="http://127.0.0.1:8000",
    restart="no",
    created="2026-01-01T00:00:00.000Z",
    supervisor=Process(1, 2, "boot"),
    life="running",
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"DSV4_STATE_DIR": str(tmp_path / "state")}


def test_what_is_written_is_read(environ: dict[str, str]) -> None:
    folder = service_folder.prepare("flash", environ)
    assert service_folder.read(folder) is None
    service_folder.write(folder, RECORD)
    assert service_folder.read(folder) == RECORD
    assert [path.name for path in folder.iterdir()] == ["service.json"], "no half-written file is left"
    assert service_folder.existing("flash", environ) == folder
    assert list(service_folder.folders(environ)) == [folder]


def test_nobody_but_the_owner_reads(environ: dict[str, str]) -> None:
    before = os.umask(0o077)
    try:
        folder = service_folder.prepare("flash", environ)
        service_folder.write(folder, RECORD)
        with state.open_private(folder / service_folder.LOG, os.O_WRONLY) as log:
            log.write(b"x")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_below_a_folder_made_for_a_group_the_group_reads(environ: dict[str, str]) -> None:
    root = Path(environ["DSV4_STATE_DIR"])
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o2755)
    folder = service_folder.prepare("flash", environ)
    service_folder.write(folder, RECORD)
    assert folder.stat().st_mode & 0o7777 == 0o2750
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}


@pytest.mark.parametrize("end", range(0, 300, 25))
def test_a_file_cut_short_is_damaged_not_absent(environ: dict[str, str], end: int) -> None:
    folder = service_folder.prepare("flash", environ)
    service_folder.write(folder, RECORD)
    whole = (folder / service_folder.RECORD).read_bytes()
    (folder / service_folder.RECORD).write_bytes(whole[:end])
    with pytest.raises(DamagedError):
        service_folder.read(folder)
    aside = service_folder.set_aside(folder)
    assert aside.read_bytes() == whole[:end]
    assert service_folder.read(folder) is None


@pytest.mark.parametrize("name", [field.name for field in fields(Record) if field.name != "extra"])
def test_a_field_of_another_kind_is_damage_and_no_bug(environ: dict[str, str], name: str) -> None:
    folder = service_folder.prepare("flash", environ)
    full = replace(RECORD, server=Process(3, 4, "boot"), exit_code=1)
    kinds = {type(getattr(one, name)) for one in (RECORD, full, replace(RECORD, supervisor=None))}
    service_folder.write(folder, full)
    good = json.loads((folder / "service.json").read_text())
    damaged = 0
    for value in (None, 5, "text", [5], {"pid": "7", "start_ticks": 1, "boot": ""}, True, 1.5):
        (folder / "service.json").write_text(json.dumps({**good, name: value}))
        try:
            found = service_folder.read(folder)
        except DamagedError:
            damaged += 1
            continue
        assert found is not None
        assert found.name == "flash"
        assert type(getattr(found, name)) in kinds
    assert damaged >= 4


def test_another_version_is_not_guessed_at() -> None:
    with pytest.raises(DamagedError, match="another version"):
        parse(b'{"version": 2}')


def test_fields_of_a_later_dsv4_do_no_harm(environ: dict[str, str]) -> None:
    folder = service_folder.prepare("flash", environ)
    service_folder.write(folder, RECORD)
    text = (folder / service_folder.RECORD).read_text().replace('"port"', '"colour": "blue",\n "port"')
    assert parse(text.encode()).extra == {"colour": "blue"}


@pytest.mark.parametrize("name", ["../x", "/etc", "", ".", "..", "a/b", "A", "a\nb"])
def test_what_is_no_name_has_no_folder(environ: dict[str, str], name: str) -> None:
    service_folder.prepare("flash", environ)
    assert service_folder.existing(name, environ) is None


def test_one_holds_the_lock(environ: dict[str, str]) -> None:
    folder = service_folder.prepare("flash", environ)
    first = service_folder.hold(folder)
    assert first is not None
    assert service_folder.hold(folder) is None
    os.close(first)
    second = service_folder.hold(folder)
    assert second is not None
    service_folder.forget(folder)
    third = service_folder.hold(folder)
    assert third is not None, "the lock of a folder that was removed holds nobody up"
    os.close(second)
    os.close(third)


def test_a_launch_that_was_killed_early_leaves_no_folder(environ: dict[str, str]) -> None:
    folder = service_folder.prepare("flash", environ)
    lock = service_folder.hold(folder)
    assert lock is not None
    service_folder.tidy(folder)
    assert folder.exists(), "a launch is under way"
    os.close(lock)
    service_folder.tidy(folder)
    assert not folder.exists()
    folder = service_folder.prepare("flash", environ)
    service_folder.write(folder, RECORD)
    service_folder.tidy(folder)
    assert folder.exists(), "it has a record"


def test_nowhere_to_write_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be written"):
        service_folder.prepare("flash", {"DSV4_STATE_DIR": str(tmp_path / "file")})


def test_a_launch_right_after_a_removal_keeps_what_it_writes(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = service_folder.prepare("x", environ)
    lock = service_folder.hold(folder)
    assert lock is not None
    for name in (service_folder.RECORD, service_folder.LAUNCH, service_folder.LOG):
        (folder / name).write_text("old")
    (folder / "extra").mkdir()
    taken: list[int | None] = []
    unlink = Path.unlink

    def first_the_other(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.name != service_folder.LOCK:
            taken.append(service_folder.hold(folder, to_launch=True))
            return
        os.close(lock)  # nobody needs it any more: its name is gone
        taken.append(service_folder.hold(folder, to_launch=True))
        (folder / service_folder.LOG).write_text("new")

    monkeypatch.setattr(Path, "unlink", first_the_other)
    service_folder.forget(folder)
    assert taken[-1] is not None
    assert set(taken[:-1]) == {None}, "nobody launches while there is something to remove"
    assert (folder / service_folder.LOG).read_text() == "new"
    os.close(taken[-1])


def test_what_another_stop_removes_meanwhile_is_no_bug(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    native_service.NativeDriver(environ).stop("x", 1)
    folder = service_folder.prepare("x", environ)
    record = replace(RECORD, name="x")
    service_folder.write(folder, record)
    write = service_folder.write

    def late(*_: object) -> None:
        shutil.rmtree(folder)
        write(folder, record)

    monkeypatch.setattr(service_folder, "write", late)
    native_service.NativeDriver(environ).stop("x", 1)
    assert not folder.exists()
