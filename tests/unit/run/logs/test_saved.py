from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.run.logs import saved as saved_logs


def env(folder: Path) -> dict[str, str]:
    return {"DSV4_STATE_DIR": str(folder)}


def test_a_log_is_saved_and_read_again(tmp_path: Path) -> None:
    path = saved_logs.save("x", ["one", "two \x1b[2J", "three"], env(tmp_path))
    assert path == saved_logs.newest("x", env(tmp_path))
    assert list(saved_logs.lines_of(path)) == ["one", "two \x1b[2J", "three"]
    assert list(saved_logs.lines_of(path, 1)) == ["three"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0


def test_nothing_is_saved_of_nothing(tmp_path: Path) -> None:
    assert saved_logs.save("x", [], env(tmp_path)) is None
    assert saved_logs.newest("x", env(tmp_path)) is None


def test_they_are_bounded_in_count_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_logs, "MAX_BYTES", 100)
    for n in range(9):
        saved_logs.save("x", (f"{n} line {m:04}" for m in range(50)), env(tmp_path))
    files = sorted((tmp_path / "logs/x").iterdir())
    assert len(files) == saved_logs.MAX_FILES
    assert all(file.stat().st_size <= 100 for file in files)
    newest = saved_logs.newest("x", env(tmp_path))
    assert newest == files[-1]
    assert newest.read_text().splitlines()[-1] == "8 line 0049", "the end of the newest is what is kept"


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b"])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/y.log").write_text("secret")
    assert saved_logs.newest(name, env(tmp_path)) is None
