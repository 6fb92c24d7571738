from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dsv4_launch.run.native import log as native_log


def numbers(path: Path, tail: int | None = None) -> list[int]:
    return [int(line.split()[-1]) for line in native_log.lines(path, tail=tail)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "server.log"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.posix_fallocate(handle, 0, 1)
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)
    return path


def test_a_short_log_stays_whole(log: Path) -> None:
    log.write_text("line 0\nline 1\n")
    with log.open("ab") as file:
        assert not native_log.bound(file.fileno(), 1000)
    assert numbers(log) == [0, 1]


def test_the_end_stays_without_a_gap_while_another_thread_writes(log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_APPEND)
    last = 60_000

    def write() -> None:
        for n in range(last):
            os.write(handle, f"a line of some length, which is numbered {n}\n".encode())

    writer = threading.Thread(target=write)
    writer.start()
    cuts = 0
    try:
        while writer.is_alive():
            cuts += native_log.bound(handle, 200_000)
        writer.join()
        native_log.bound(handle, 200_000)
    except OSError as error:
        pytest.skip(f"the file system of the tests knows no holes: {error}")
    finally:
        writer.join()
        os.close(handle)
    found = numbers(log)
    assert found == list(range(found[0], last)), "no gap, no half line"
    assert len(found) > 3000
    assert numbers(log, 5) == list(range(last - 5, last))
    assert numbers(log, 10**6) == found
    assert log.stat().st_blocks * 512 < 200_000 + 2 * 1024 * 1024
    assert cuts or log.stat().st_blocks * 512 < log.stat().st_size
