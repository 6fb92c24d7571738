"""`dsv4 watch` and an attached `serve` on native services: deaths, crash loops, hangs, who is told, and kill -9."""

from __future__ import annotations

import json
import os
import pwd
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from e2e.native_box import Box, boxes, make_home

CANARY = "canary-51c0d3e7-not-for-anyone"
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def box(tmp_path: Path, home: Path) -> Iterator[Box]:
    yield from boxes(tmp_path, home)


def until(true: Callable[[], object], what: str, timeout_s: float = 90) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        time.sleep(0.1)


def told_by(folder: Path) -> list[dict[str, object]]:
    """What the command of `watch_with` was told so far: its standard input, a line an event."""
    file = folder / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def watch_with(box: Box, restart: str = "no", **rules: object) -> None:
    """The box's config with these rules, and a command that writes down what it is told, environment included."""
    program = box.folder / "tell"
    program.write_text(
        f"#!/bin/sh\ncat >> {box.folder}/told.jsonl; echo >> {box.folder}/told.jsonl\nenv > {box.folder}/env\n"
    )
    program.chmod(0o755)
    rules = {"backoff_s": 0.1, "on_failure": {"command": [str(program)]}, **rules}
    secrets = json.dumps({"pass_through": ["BOX_TOKEN"]})
    box.write(f"watch: {json.dumps(rules)}\nsecrets: {secrets}\n", restart)


def server_pid(box: Box) -> int:
    """The pid of the server; 0 between two of its lives."""
    server = box.record()["server"]
    return int(server["pid"]) if isinstance(server, dict) else 0


def started_again(box: Box, before: int) -> bool:
    return server_pid(box) not in (0, before) and box.state_of() == "ready"


def test_died_is_started_again_and_killed_watchers_are_replaced(box: Box) -> None:
    watch_with(box, max_restarts=9)
    secret = {"BOX_TOKEN": CANARY}
    detached = box.serve("--detach", **secret)
    assert "dsv4 watch" in detached.stdout
    box.wait_for("ready")
    assert "unwatched" in box.dsv4("status", box.name).stdout
    watching = box.start("watch", box.name, **secret)
    box.wait_until_watched()
    second = box.dsv4("watch", box.name)
    assert second.returncode == 5
    assert f"process {watching.pid}" in second.stderr

    first = server_pid(box)
    os.kill(first, signal.SIGKILL)
    until(lambda: started_again(box, first), "started again")
    watching.kill()  # what it watches goes on, and the next watch takes over, its memory included
    watching.wait()
    assert box.state_of() == "ready"
    watching = box.start("watch", str(box.config), **secret)
    box.wait_until_watched()
    second_pid = server_pid(box)
    os.kill(second_pid, signal.SIGKILL)
    until(lambda: started_again(box, second_pid), "started again by the second watcher")
    assert "2 of at most 9" in str(told_by(box.folder)[-1]["action"])

    assert box.dsv4("stop", box.name).returncode == 0
    out, err = watching.communicate(timeout=150)
    assert watching.returncode == 0, err
    assert f"{box.name} was" in out
    box.assert_gone()
    assert (box.folder / "env").exists()
    left = [path.read_text(errors="replace") for path in box.state.rglob("*") if path.is_file()]
    said = [
        out,
        err,
        detached.stdout,
        detached.stderr,
        (box.folder / "env").read_text(),
        json.dumps(told_by(box.folder)),
    ]
    assert not [text for text in (*left, *said) if CANARY in text]


def test_attached_serve_ends_a_crash_loop_with_exit_7_and_its_advisory(box: Box) -> None:
    watch_with(box, max_restarts=2)
    crash = box.folder / "crash"
    serving = box.start("serve", str(box.config), BOX_TOKEN="t", STANDIN_CRASH_FILE=str(crash), STANDIN_LAST_LINES=OOM)
    box.wait_until_watched()
    crash.touch()
    out, err = serving.communicate(timeout=150)
    assert serving.returncode == 7, err
    assert "again and again" in err
    assert "2 of at most 2" in err
    events = told_by(box.folder)
    assert [event["event"] for event in events] == ["died", "died", "crash-loop"]
    assert events[-1]["advisory"]
    assert f"[{events[-1]['advisory']}]" in err  # the known failure that the log shows
    assert out.count(OOM) >= 2  # its log was followed, over its restarts
    assert box.state_of() == "failed"
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_its_own_supervisor_restarts_and_the_watcher_only_counts(box: Box) -> None:
    watch_with(box, restart="on-failure", max_restarts=2)
    crash = box.folder / "crash"
    box.serve("--detach", BOX_TOKEN="t", STANDIN_CRASH_FILE=str(crash))
    box.wait_for("ready")
    watching = box.start("watch", box.name)
    box.wait_until_watched()
    crash.touch()
    _, err = watching.communicate(timeout=150)
    assert watching.returncode == 7, err
    assert "2 restarts did not help" in err
    assert "given up and stopped" in err
    assert int(str(box.record()["restarts"])) >= 3  # each of them by the supervisor
    box.wait_for_no_process()
    box.dsv4("stop", box.name)
    box.assert_gone()


class Hook(BaseHTTPRequestHandler):
    """A webhook that remembers."""

    got: list[dict[str, object]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Hook)
    Hook.got = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_hang_is_reported_to_the_webhook_and_restarted(box: Box, hook: HTTPServer) -> None:
    stall = box.folder / "stall"
    rules = {"hang_s": 2, "on_hang": "restart", "on_failure": {"webhook_env": "BOX_HOOK", "command": ["false"]}}
    watch_with(box, **rules)
    url = f"http://127.0.0.1:{hook.server_port}/{CANARY}"
    box.serve("--detach", BOX_TOKEN="t", STANDIN_STALL_FILE=str(stall))
    box.wait_for("ready")
    first = server_pid(box)
    watching = box.start("watch", box.name, BOX_HOOK=url, BOX_TOKEN="t")
    box.wait_until_watched()
    stall.touch()
    with urllib.request.urlopen(f"http://127.0.0.1:{box.port}/health", timeout=150) as answer:
        assert answer.status == 200  # it looks healthy
    until(lambda: Hook.got, "the webhook is told")
    stall.unlink()
    until(lambda: started_again(box, first), "started again")
    assert Hook.got[0]["event"] == "hang"
    assert "no token was counted" in str(Hook.got[0]["message"])
    assert "started again" in str(Hook.got[0]["text"])
    os.kill(watching.pid, signal.SIGINT)
    out, err = watching.communicate(timeout=150)
    assert watching.returncode == 0, err
    assert "it goes on" in out
    assert "on_failure command false ended with 1" in err
    assert CANARY not in out + err
    assert box.state_of() == "ready"
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_a_hang_is_only_reported_by_default(box: Box) -> None:
    stall = box.folder / "stall"
    watch_with(box, hang_s=2)
    box.serve("--detach", BOX_TOKEN="t", STANDIN_STALL_FILE=str(stall))
    box.wait_for("ready")
    stall.touch()
    watching = box.start("watch", box.name)
    until(lambda: told_by(box.folder), "the hang is told")
    assert told_by(box.folder)[0]["action"] == "It is left as it is: watch.on_hang is report."
    assert box.state_of() == "ready"
    watching.send_signal(signal.SIGTERM)
    watching.communicate(timeout=150)
    box.dsv4("stop", box.name)
    box.assert_gone()


def test_one_change_at_a_time_and_a_watch_knows_of_it() -> None:
    from dsv4_launch.errors import HostError
    from dsv4_launch.run.watch.lock import changer, changing

    name = f"box-{os.getpid()}"
    with changing(name):
        for _ in range(100):  # more than wait in the queue of a socket: it is taken all the same
            assert changer(name) is not None
        with pytest.raises(HostError, match=r"is being launched or changed by .*process"), changing(name):
            pass
    assert changer(name) is None
    with changing(name):
        assert str(changer(name)) == f"process {os.getpid()} of {pwd.getpwuid(os.geteuid()).pw_name}"


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    from dsv4_launch.config.watch import OnFailure
    from dsv4_launch.run.watch.event import Event, send

    event = Event("died", "x", "native", "h", "2026-11-25T10:00:00+00:00", "m", "a")
    said: list[str] = []
    pid = tmp_path / "pid"
    wanted = OnFailure(command=("sh", "-c", f"echo $$ > {pid}; exec sleep 600"), timeout_s=5)
    send(event, wanted, dict(os.environ), (), said.append)
    assert "took longer than 5 s" in said[0]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    send(event, OnFailure(command=("/no/such/program",)), {}, (), said.append)
    assert "cannot be run: No such file" in said[1]
    send(event, OnFailure(webhook="http://127.0.0.1:9/hook"), {}, (), said.append)
    assert "the webhook at 127.0.0.1 could not be told" in said[2]
