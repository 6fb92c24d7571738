"""The state folder: where it lies, and files that are whole and their owner's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsv4_launch.errors import HostError
from dsv4_launch.run import state


def test_roots(tmp_path: Path) -> None:
    assert state.roots({"DSV4_STATE_DIR": "/x"}) == (Path("/x"),)
    assert state.roots({"HOME": "/h"}) == (state.SYSTEM, Path("/h/.local/state/dsv4"))
    assert state.roots({"HOME": "/h", "XDG_STATE_HOME": "/s"})[1] == Path("/s/dsv4")


def test_a_file_is_replaced_whole_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    before = os.umask(0)
    try:
        for text in ("the first, a longer one", "the second"):
            state.write(file, text)
            assert file.read_text() == text
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_new_file_takes_no_name_that_is_taken(tmp_path: Path) -> None:
    state.write_new(tmp_path / "1", "mine")
    with pytest.raises(FileExistsError):
        state.write_new(tmp_path / "1", "yours")
    assert (tmp_path / "1").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_what_a_killed_process_left_half_written_goes_with_the_next_file(tmp_path: Path) -> None:
    ours = tmp_path / f".part-{os.getppid()}"  # of a process that lives
    for part in (ours, tmp_path / ".part-999999999", tmp_path / ".part-x"):
        part.write_text("half")
    state.write_new(tmp_path / "1", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [ours.name, "1"]


def test_a_writable_root_is_found_or_nowhere_is_told(tmp_path: Path) -> None:
    root = tmp_path / "state"
    assert state.writable_root({"DSV4_STATE_DIR": str(root)}) == root
    assert root.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be written"):
        state.writable_root({"DSV4_STATE_DIR": str(tmp_path / "file")})
