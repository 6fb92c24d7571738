"""The pure parts of native services: process table lines, endings, log lines, shared memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsv4_launch.run import processes
from dsv4_launch.run.native.ending import delay_s, describe, fails
from dsv4_launch.run.native.log import lines
from dsv4_launch.run.processes import MARK, Process, Row
from dsv4_launch.run.shared_memory import mapped, parse_maps, release, semaphores

REST = " ".join(str(n) for n in range(20, 53))


def stat(pid: int, parent: int, session: int, ticks: int, command: str = "vllm", state: str = "S") -> str:
    return (
        f"{pid} ({command}) {state} {parent} {session} {session} 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 {ticks} {REST}"
    )


def fake_proc(folder: Path, rows: list[str], environ: dict[int, bytes] | None = None) -> Path:
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text("boot-1\n")
    for text in rows:
        own = folder / text.split(" ", 1)[0]
        own.mkdir()
        (own / "stat").write_text(text)
        (own / "cmdline").write_bytes(b"")
        (own / "environ").write_bytes((environ or {}).get(int(own.name), b""))
    return folder


@pytest.mark.parametrize("command", ["vllm", "VLLM::Engine Core", "a) S 1 (b", ""])
def test_a_command_cannot_forge_its_own_line(command: str) -> None:
    assert processes.parse_stat(stat(7, 3, 5, 99, command)) == Row(7, 3, 5, 99, "S")


def test_a_pid_is_one_process_in_one_boot(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, [stat(7, 1, 7, 99), stat(8, 1, 8, 99, state="Z")])
    assert processes.alive(Process(7, 99, "boot-1"), proc)
    assert not processes.alive(Process(7, 98, "boot-1"), proc), "the pid was used again"
    assert not processes.alive(Process(7, 99, "boot-0"), proc), "the machine was restarted"
    assert not processes.alive(Process(8, 99, "boot-1"), proc), "a zombie does not run"
    assert not processes.alive(None, proc)


def test_tree_is_by_descent_session_and_mark(tmp_path: Path) -> None:
    rows = [
        stat(10, 1, 10, 5),  # supervisor
        stat(20, 10, 20, 6),  # server
        stat(21, 20, 20, 7),  # engine
        stat(22, 10, 22, 7),  # orphan of the engine, in a session of its own
        stat(23, 1, 20, 7),  # in the server's session, adopted by init
        stat(24, 1, 24, 8),  # carries the mark only
        stat(30, 1, 30, 5),  # somebody else
    ]
    folder = Path("/state/services/a")
    proc = fake_proc(tmp_path, rows, {24: f"A=b\0{MARK}={folder}\0".encode(), 30: f"{MARK}={folder}-2\0".encode()})
    supervisor, server = Process(10, 5, "boot-1"), Process(20, 6, "boot-1")

    def pids(*who: Process | None) -> list[int]:
        return [process.pid for process in processes.tree(*who, folder, proc)]

    assert pids(supervisor, server) == [20, 21, 22, 23, 24]
    assert pids(None, server) == [20, 21, 23, 24]
    assert pids(None, None) == [24]
    assert pids(None, Process(30, 4, "boot-1")) == [24], "the server's pid was used again: not its session"


def test_what_a_killed_server_left_is_found_by_its_session(tmp_path: Path) -> None:
    folder = Path("/state/services/a")
    # vLLM's engine processes write their titles over the environment that they were started with: no mark is left.
    left = [stat(21, 1, 20, 7), stat(22, 21, 22, 8), stat(30, 1, 30, 5)]

    def pids(proc: Path) -> list[int]:
        return [process.pid for process in processes.tree(None, Process(20, 6, "boot-1"), folder, proc)]

    assert pids(fake_proc(tmp_path / "gone", left)) == [21, 22]
    assert pids(fake_proc(tmp_path / "zombie", [stat(20, 1, 20, 6, state="Z"), *left])) == [21, 22]
    assert pids(fake_proc(tmp_path / "used", [stat(20, 1, 20, 9), *left])) == [], "a session of somebody else"
    assert pids(fake_proc(tmp_path / "old", [stat(21, 1, 20, 5), *left[1:]])) == [], "older than the server"
    rebooted = fake_proc(tmp_path / "rebooted", left)
    (rebooted / "sys/kernel/random/boot_id").write_text("boot-2\n")
    assert pids(rebooted) == []


def test_endings_say_code_or_signal() -> None:
    assert describe(3).text == "it exited with code 3"
    assert describe(-9).text == "it was killed by SIGKILL"
    assert describe(-9).exit_code == 137
    assert "out of memory" in describe(-9, oom=True).text
    assert describe(-99).text == "it was killed by signal 99"
    assert [fails(describe(status)) for status in (0, 1, -15)] == [False, True, True]


def test_restarts_wait_longer_each_time_up_to_a_minute() -> None:
    assert [delay_s(n) for n in (1, 2, 3, 6, 7, 5000)] == [1, 2, 4, 32, 60, 60]


@pytest.mark.parametrize(
    ("text", "tail", "wanted"),
    [
        (b"a\nb\nc\n", None, ["a", "b", "c"]),
        (b"a\nb\nc", None, ["a", "b", "c"]),
        (b"a\nb\nc\n", 2, ["b", "c"]),
        (b"a\nb\nc", 2, ["b", "c"]),
        (b"a\nb\n", 9, ["a", "b"]),
        (b"a\n\n\n", 2, ["", ""]),
        (b"a\nb\n", 0, []),
        (b"", 3, []),
        (b"10%\r50%\r100%\r\nx\xff\n", None, ["100%", "x\N{REPLACEMENT CHARACTER}"]),
        (b"x" * 200_000 + b"\n" + b"y" * 70_000 + b"\n", 1, ["y" * 70_000]),
    ],
)
def test_log_lines(tmp_path: Path, text: bytes, tail: int | None, wanted: list[str]) -> None:
    (tmp_path / "log").write_bytes(text)
    assert list(lines(tmp_path / "log", tail=tail)) == wanted


def test_following_reads_what_was_written_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_text("a\nb")
    steps = iter([lambda: log.write_text("a\nbc\n"), lambda: log.write_text("new\n")])
    monkeypatch.setattr("dsv4_launch.run.native.log.time.sleep", lambda _s: None)
    answers = iter([False, False, False, True])

    def ended() -> bool:
        answer = next(answers)
        next(steps, lambda: None)()
        return answer

    assert list(lines(log, tail=None, ended=ended)) == ["a", "bc", "new"]


def test_no_log_yet_is_no_line(tmp_path: Path) -> None:
    assert list(lines(tmp_path / "none", tail=None)) == []


MAPS = """\
7f00-7f01 rw-s 00000000 00:18 2 /dev/shm/psm_c290314d
7f01-7f02 rw-s 00000000 00:18 3 /dev/shm/sem.mp-abc
7f02-7f03 r--s 00000000 00:18 4 /dev/shm/weights/model-00001.safetensors
7f03-7f04 r--s 00000000 00:18 5 /dev/shm/model.safetensors
7f04-7f05 rw-s 00000000 00:18 6 /dev/shm/psm_gone (deleted)
7f05-7f06 r-xp 00000000 08:01 7 /usr/lib/libc.so.6
"""


def test_only_segments_that_libraries_name_are_taken() -> None:
    assert parse_maps(MAPS) == {"/dev/shm/psm_c290314d", "/dev/shm/sem.mp-abc"}


def test_a_segment_that_another_process_maps_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsv4_launch.run.shared_memory.parse_maps", lambda text: set(text.split()))
    proc, shared, free = tmp_path / "proc", tmp_path / "psm_shared", tmp_path / "psm_free"
    for path in (shared, free):
        path.touch()
    (proc / "5").mkdir(parents=True)
    (proc / "5" / "maps").write_text(str(shared))
    assert mapped([Process(5, 0, "")], proc) == {str(shared)}
    release({str(shared), str(free), str(tmp_path / "psm_gone")}, proc)
    assert shared.exists()
    assert not free.exists()


def test_semaphores_are_those_made_since(tmp_path):
    old, new = tmp_path / "sem.mp-old", tmp_path / "sem.mp-new"
    for path in (old, new, tmp_path / "psm_1"):
        path.touch()
    later = new.stat().st_ctime + 1
    assert semaphores(0, tmp_path) == {str(old), str(new)}
    assert semaphores(later, tmp_path) == set()
