"""The life of a native service on a stand-in server: serve, status, logs, show, stop, and what goes wrong between."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import until
from e2e.native_box import DSV4, Box, boxes, make_home

CANARY = "canary-2b7f61d09c-not-for-anyone"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def box(tmp_path: Path, home: Path) -> Iterator[Box]:
    yield from boxes(tmp_path, home)


def test_serve_detached_status_logs_show_stop(box: Box) -> None:
    done = box.serve("--detach")
    assert done.returncode == 0, done.stderr
    box.wait_for("ready")
    assert "Application startup complete" in box.dsv4("logs", box.name).stdout
    assert len(box.dsv4("logs", "--tail", "2", box.name).stdout.splitlines()) == 2
    shown = box.dsv4("show", box.name)
    assert f"port: {box.port}" in shown.stdout
    again = box.serve()
    assert again.returncode == 0
    assert "runs already" in again.stdout
    stopped = box.dsv4("stop", box.name)
    assert stopped.returncode == 0, stopped.stderr
    box.assert_gone()
    assert box.state_of() == "absent"


def test_foreground_follows_and_ctrl_c_stops(box: Box) -> None:
    serving = box.start("serve", str(box.config))
    box.wait_until_watched()
    os.kill(serving.pid, signal.SIGINT)
    out, err = serving.communicate(timeout=150)
    assert serving.returncode == 0, err
    assert f"http://127.0.0.1:{box.port}/v1" in out
    box.assert_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_before_ready_leaves_nothing(box: Box, number: int) -> None:
    serving = box.start("serve", str(box.config), STANDIN_HANG="1", STANDIN_TREE="1")
    box.wait_for("starting")
    time.sleep(0.3)
    os.kill(serving.pid, number)
    _, err = serving.communicate(timeout=150)
    assert serving.returncode == 130, err
    box.assert_gone()


def _drain(terminal: int, over: threading.Event) -> None:
    """Read what is said, as a terminal does, until it is to be closed."""
    while not over.is_set():
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65536)


@pytest.mark.parametrize("when", ["starting", "ready"])
def test_a_terminal_that_is_closed_leaves_nothing(box: Box, when: str) -> None:
    pid, terminal = pty.fork()
    if pid == 0:  # the child: a session of its own, with this terminal
        hangs = {"STANDIN_HANG": "1"} if when == "starting" else {}
        os.execve(DSV4, [DSV4, "serve", str(box.config)], {**box.env, **hangs, "STANDIN_TREE": "1", "TERM": "xterm"})
    over = threading.Event()
    reading = threading.Thread(target=_drain, args=(terminal, over), daemon=True)
    reading.start()
    if when == "starting":
        box.wait_for(when)
    else:
        box.wait_until_watched()
    over.set()
    reading.join(5)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (130 if when == "starting" else 0)
    box.assert_gone()


def test_nohup_goes_on(box: Box) -> None:
    words, may = ["nohup", DSV4, "serve", str(box.config)], box.folder / "may"
    serving = subprocess.Popen(
        words, env={**box.env, "STANDIN_READY_FILE": str(may)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    box.started.append(serving)
    box.wait_for("starting")
    os.kill(serving.pid, signal.SIGHUP)
    may.touch()
    box.wait_for("ready")
    assert serving.poll() is None
    os.kill(serving.pid, signal.SIGTERM)
    serving.communicate(timeout=150)
    box.assert_gone()


def test_a_program_named_by_its_path_finds_the_tools_beside_it(box: Box) -> None:
    (box.folder / "ninja").write_text("#!/bin/sh\necho 1.0-beside\n")
    (box.folder / "ninja").chmod(0o755)
    box.vllm.write_text(box.vllm.read_text().replace("exec ", f"ninja > {box.folder}/said\nexec "))
    assert box.serve("--detach").returncode == 0
    box.wait_for("ready")
    assert (box.folder / "said").read_text() == "1.0-beside\n"
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_crash_at_start_is_exit_7_with_the_last_lines(box: Box) -> None:
    done = box.serve(STANDIN_CRASH_AFTER_S="0.1", STANDIN_READY_AFTER_S="5", STANDIN_EXIT_CODE="3")
    assert done.returncode == 7
    assert "Engine core initialization failed" in done.stderr
    assert "code 3" in done.stderr
    assert box.state_of() == "failed"
    assert box.record()["exit_code"] == 3
    assert box.dsv4("stop", box.name).returncode == 0
    box.assert_gone()


def test_a_flag_that_the_server_refuses(box: Box) -> None:
    box.vllm.write_text(box.vllm.read_text().replace('"$@"', '"$@" --bogus'))
    done = box.serve("--on-failure", "remove")
    assert done.returncode == 7
    assert "unrecognized arguments" in done.stderr
    box.assert_gone()


def test_late_is_exit_7_and_it_goes_on(box: Box) -> None:
    may = box.folder / "may"
    done = box.serve("--timeout", "1", STANDIN_READY_FILE=str(may))
    assert done.returncode == 7
    assert box.state_of() == "starting"
    may.touch()
    box.wait_for("ready")
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_server_killed_while_ready_is_failed_and_says_why(box: Box) -> None:
    box.serve("--detach", STANDIN_TREE="1")
    box.wait_for("ready")
    assert len(box.processes()) == 4  # supervisor, server, two deaf children
    os.kill(int(box.record()["server"]["pid"]), signal.SIGKILL)  # type: ignore[index]
    box.wait_for("failed")
    assert "SIGKILL" in box.dsv4("status", box.name).stdout
    box.wait_for_no_process()  # deaf children too: the supervisor does not leave them the GPU
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_one_that_is_launched_again_starts_whatever_its_log_says_of_its_life_before(box: Box) -> None:
    ready = box.folder / "ready"
    ready.touch()
    box.serve("--detach", STANDIN_READY_FILE=str(ready))
    box.wait_for("ready")
    ready.unlink()
    os.kill(int(str(box.record()["server"]["pid"])), signal.SIGKILL)  # type: ignore[index]
    box.wait_for("failed")
    box.serve("--detach", STANDIN_READY_FILE=str(ready))
    assert box.state_of() == "starting"
    ready.touch()
    box.wait_for("ready")
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_stop_ends_a_stubborn_tree(box: Box) -> None:
    box.serve("--detach", STANDIN_TREE="1", STANDIN_IGNORE_TERM="1")
    box.wait_for("ready")
    started = time.monotonic()
    done = box.dsv4("stop", box.name, "--timeout", "1")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 300  # not the tree's own time
    box.assert_gone()


def test_restart_on_failure_then_stop_while_it_waits(box: Box) -> None:
    box.write(restart="on-failure")
    box.serve("--detach", STANDIN_CRASH_AFTER_S="0.1", STANDIN_READY_AFTER_S="9")
    until(lambda: int(str(box.record()["restarts"])) >= 2, "two restarts")
    started = time.monotonic()
    assert box.dsv4("stop", box.name).returncode == 0
    assert time.monotonic() - started < 80  # it has 90 s before it is killed
    box.assert_gone()


def test_port_taken_is_exit_5_before_anything_starts(box: Box) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", box.port))
        other.listen()
        done = box.serve()
    assert done.returncode == 5
    assert str(box.port) in done.stderr
    box.assert_gone()


def test_missing_program_names_what_to_install(box: Box) -> None:
    box.vllm.unlink()
    done = box.serve()
    assert done.returncode == 5
    assert "vllm_cpu_env.py" in done.stderr or "install" in done.stderr.lower()
    box.assert_gone()


def test_program_that_cannot_be_started(box: Box) -> None:
    box.vllm.write_text("#!/nowhere/python\n")
    done = box.serve("--skip", "ENG002=a broken program")
    assert done.returncode in (5, 6), done.stderr
    assert box.processes() == {}


def test_of_two_serves_at_once_one_wins(box: Box) -> None:
    may = box.folder / "may"  # one that is ready would be found well by whoever comes late
    both = [box.start("serve", str(box.config), "--detach", STANDIN_READY_FILE=str(may)) for _ in range(2)]
    ended = [(process.communicate(timeout=150), process.returncode) for process in both]
    codes = sorted(code for _, code in ended)
    assert codes == [0, 5], ended
    loser = next(texts[1] for texts, code in ended if code == 5)
    assert box.name in loser or str(box.port) in loser
    servers = [words for words in box.processes().values() if "native.supervisor" not in words]
    assert len(servers) == 1
    may.touch()
    box.wait_for("ready")
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_secret_is_in_no_command_line_state_file_or_log(box: Box) -> None:
    box.write("secrets: {pass_through: [BOX_TOKEN]}\n")
    text = box.config.read_text().replace(f'"port": {box.port}', f'"port": {box.port}, "api_key_env": "BOX_KEY"')
    box.config.write_text(text)
    other = "of-another-program"
    done = box.serve("--detach", BOX_KEY=CANARY, BOX_TOKEN=CANARY, AWS_SECRET_ACCESS_KEY=other, HF_TOKEN="hub")
    assert done.returncode == 0, done.stderr
    log = box.folder_of_service / "server.log"
    until(lambda: b"startup complete" in log.read_bytes(), "it has started")
    seen = [done.stdout, done.stderr, *box.processes().values()]
    seen += [path.read_text() for path in box.folder_of_service.iterdir()]
    seen += [box.dsv4(*words, BOX_KEY=CANARY).stdout for words in (("status", box.name), ("show", box.name))]
    assert not [text for text in seen if CANARY in text or other in text]
    assert "does not get: AWS_SECRET_ACCESS_KEY (" in done.stderr
    for pid in box.processes():
        given = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert not [variable for variable in given if other.encode() in variable], "no process of it has that"
        assert b"HF_TOKEN=hub" in given
    request = urllib.request.Request(f"http://127.0.0.1:{box.port}/v1/models")
    request.add_header("Authorization", f"Bearer {CANARY}")
    with urllib.request.urlopen(request, timeout=150) as response:
        assert json.load(response)["data"]
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_unset_secret_is_told_before_anything_starts(box: Box) -> None:
    box.write("secrets: {pass_through: [BOX_TOKEN_THAT_IS_NOT_SET]}\n")
    done = box.serve()
    assert done.returncode == 5
    assert "BOX_TOKEN_THAT_IS_NOT_SET" in done.stderr
    box.assert_gone()
