"""Whatever is killed, and whatever is on disk: `status` and `stop` go on working, and nothing is left in the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsv4_launch.errors import ToolError
from dsv4_launch.run import processes
from dsv4_launch.run.native import launch, service_folder
from e2e import here
from e2e.conftest import until
from e2e.native_box import Box, boxes, make_home

COLLEAGUE = 54321
# Beside the 50 of test_kill_anywhere.py: here all must be gone after each.
KILLS = 8
# The modules are loaded before the user changes: a colleague has dsv4 installed, not this checkout.
READ_AS_COLLEAGUE = """
import os, sys
from dsv4_launch.cli import main, drivers
from dsv4_launch.cli.serve import commands as launching
from dsv4_launch.cli.service import statuses
from dsv4_launch.run.status import status
from dsv4_launch.run.native import service as native_service
from dsv4_launch.run.docker import service as docker_service
name, group = sys.argv[1], int(sys.argv[2])
from dsv4_launch.errors import HostError
driver = native_service.NativeDriver()
driver.find("nothing")
os.setgroups([]); os.setgid(group); os.setuid(int(sys.argv[3]))
try:
    seen = driver.find(name)
    print(seen.life, seen.user, seen.config["server"]["port"], len(list(driver.logs(name, follow=False, tail=3))))
    driver.stop(name, 1)
except HostError as error:
    print(error.problems[0].code, "|", error.problems[0].message)
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def box(tmp_path: Path, home: Path) -> Iterator[Box]:
    yield from boxes(tmp_path, home)


def kill(pid: object) -> None:
    """Kill it, and wait until it is dead: a busy machine lets a process that was killed run on for a moment."""
    one = processes.identify(int(str(pid)))
    os.kill(int(str(pid)), signal.SIGKILL)
    until(lambda: not processes.alive(one), f"process {pid} is dead")


def test_dsv4_killed_at_any_moment_of_a_serve(box: Box) -> None:
    started = time.monotonic()
    assert box.serve("--detach").returncode == 0
    whole_s = time.monotonic() - started
    box.dsv4("stop", box.name)
    left_running = 0
    for n in range(KILLS):
        serving = box.start("serve", str(box.config))
        time.sleep(whole_s * (0.3 + 0.8 * n / KILLS))
        while n == KILLS - 1 and box.state_of() == "absent":  # one at least finds a server that runs
            time.sleep(0.05)
        serving.kill()
        serving.communicate()
        state = box.state_of()
        assert state in ("absent", "starting", "ready"), (n, state)
        left_running += state != "absent"
        done = here.dsv4(box.env, "stop", box.name)
        assert done.returncode == 0, (n, done.stderr)
        box.assert_gone()
    assert left_running


@pytest.mark.parametrize("before", ["absent", "failed"])
def test_a_launch_whose_dsv4_was_killed_is_seen_and_stopped(box: Box, before: str) -> None:
    box.serve("--detach")
    box.wait_for("ready")
    record = service_folder.read(box.folder_of_service)
    assert record is not None
    if before == "absent":
        box.dsv4("stop", box.name)
        service_folder.prepare(box.name, box.env)
    else:
        kill(record.server.pid)  # type: ignore[union-attr]
        box.wait_for("failed")
    lock = None
    while lock is None:  # the last supervisor clears up
        lock = service_folder.hold(box.folder_of_service, to_launch=True)
    assert box.state_of() == "starting", "nothing but the lock tells of it yet"
    stopping = box.start("stop", box.name, "--timeout", "5")
    with contextlib.suppress(ToolError):  # stopped before it had started
        launch.hand_over(box.folder_of_service, record, {}, box.env, lock)
    os.close(lock)
    _, err = stopping.communicate()
    assert stopping.returncode == 0, err
    box.assert_gone()


def test_supervisor_killed_the_server_goes_on_and_can_be_stopped(box: Box) -> None:
    box.serve("--detach", STANDIN_TREE="1")
    box.wait_for("ready")
    kill(box.record()["supervisor"]["pid"])  # type: ignore[index]
    assert box.state_of() == "ready"
    assert box.serve().returncode == 0, "it runs already, and is left alone"
    done = box.dsv4("stop", box.name, "--timeout", "2")
    assert done.returncode == 0, done.stderr
    box.assert_gone()


def test_all_killed_is_failed_and_served_again(box: Box) -> None:
    box.serve("--detach", STANDIN_TREE="1")
    box.wait_for("ready")
    record = box.record()
    kill(record["supervisor"]["pid"])  # type: ignore[index]
    kill(record["server"]["pid"])  # type: ignore[index]
    assert box.state_of() == "failed"
    assert box.serve("--detach").returncode == 0
    box.wait_for("ready")
    assert len(box.processes()) == 2, "what the first server left must not hold the GPU of the second"
    box.dsv4("stop", box.name)
    box.assert_gone()


@pytest.mark.parametrize("text", ["", "{", '{"version": 1, "name": "x"}', '{"version": 99}', "[]", "\0\0"])
def test_damaged_state_file(box: Box, text: str) -> None:
    box.serve("--detach", STANDIN_TREE="1")
    box.wait_for("ready")
    (box.folder_of_service / "service.json").write_text(text)
    told = box.dsv4("status", box.name)
    assert told.returncode == 0, told.stderr
    assert box.name in told.stdout
    assert "ready" in told.stdout
    assert box.record()["digest"], "made anew from the launch and the process table"
    assert (box.folder_of_service / "service.json.damaged").read_text() == text
    assert f"name: {box.name}" in box.dsv4("show", box.name).stdout
    assert box.serve().returncode == 0, "it runs already, and is left alone"
    assert box.dsv4("stop", box.name, "--timeout", "2").returncode == 0
    box.assert_gone()


def test_both_records_damaged_or_gone(box: Box) -> None:
    box.serve("--detach", STANDIN_TREE="1")
    box.wait_for("ready")
    for name in ("service.json", "launch.json"):
        (box.folder_of_service / name).write_text("{")
    told = box.dsv4("status", box.name)
    assert (told.returncode, box.name in told.stdout) == (0, True)
    assert "serve" in box.record()["argv"], "from the process table"
    (box.folder_of_service / "service.json").unlink()
    assert box.state_of() != "absent"
    assert box.serve().returncode == 5, "it runs, whatever its files say"
    assert box.dsv4("stop", box.name, "--timeout", "2").returncode == 0
    box.assert_gone()


def test_a_log_is_bounded_while_it_is_written_and_no_line_of_its_end_is_lost(box: Box) -> None:
    lines = 60_000
    box.serve("--detach", STANDIN_LOG_LINES=str(lines), DSV4_LOG_BYTES="1000000")
    box.wait_for("ready")
    log = box.folder_of_service / "server.log"
    until(lambda: log.stat().st_blocks * 512 <= 2_200_000, "the log is bounded")
    told = [line for line in box.dsv4("logs", box.name).stdout.splitlines() if "log line" in line]
    numbers = [int(line.rpartition(" ")[2]) for line in told]
    assert numbers == list(range(numbers[0], lines)), "no gap"
    assert 0 < numbers[0] < lines - 5000
    tail = box.dsv4("logs", box.name, "--tail", "100000").stdout.splitlines()
    assert [line for line in tail if "log line" in line] == told
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_pid_used_again_is_not_taken_for_ours(box: Box) -> None:
    box.serve("--detach")
    box.wait_for("ready")
    record = box.record()
    kill(record["supervisor"]["pid"])  # type: ignore[index]
    kill(record["server"]["pid"])  # type: ignore[index]
    with subprocess.Popen(["sleep", "60"]) as bystander:
        text = (box.folder_of_service / "service.json").read_text()
        for who in ("supervisor", "server"):
            text = text.replace(f'"pid": {record[who]["pid"]}', f'"pid": {bystander.pid}')  # type: ignore[index]
        (box.folder_of_service / "service.json").write_text(text)
        assert box.state_of() == "failed"
        assert box.dsv4("stop", box.name).returncode == 0
        assert bystander.poll() is None
        bystander.kill()
    box.assert_gone()


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("in_group", [True, False])
def test_a_colleague_reads_what_an_administrator_gave_the_group_and_stops_nothing(box: Box, in_group: bool) -> None:
    # Not below pytest's folder, which is closed to others.
    box.state = Path(tempfile.mkdtemp(dir="/var/tmp"))
    box.env["DSV4_STATE_DIR"] = str(box.state)
    os.chown(box.state, 0, COLLEAGUE)
    box.state.chmod(0o2755)  # as an administrator makes /var/lib/dsv4 for a group
    box.serve("--detach")
    box.wait_for("ready")
    group = COLLEAGUE if in_group else COLLEAGUE + 1
    done = subprocess.run(
        [sys.executable, "-c", READ_AS_COLLEAGUE, box.name, str(group), str(COLLEAGUE)],
        env=box.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    if in_group:
        assert lines[0] == f"running root {box.port} 3"
        assert lines[1].startswith("not-yours | ")
    else:
        assert lines[0].startswith("state-unreadable | "), "what may not be read is not absent"
    assert box.state_of() == "ready"
    box.dsv4("stop", box.name)
    box.assert_gone()
    shutil.rmtree(box.state)
