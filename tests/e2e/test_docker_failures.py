"""Everything that goes wrong with a container: each has its exit code, says why, and leaves what was promised."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dsv4_launch.config.load import load
from dsv4_launch.errors import HostError
from dsv4_launch.host.docker import connect
from dsv4_launch.host.docker_address import Endpoint
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.run.docker.service import DockerDriver
from dsv4_launch.targets import render
from e2e.conftest import ROOT, STANDIN, Node, envelope, name_of, until

CRASH = {"CRASH_AFTER_S": "1.5", "READY_AFTER_S": "60", "LAST_LINES": "ValueError: no such expert\\nRuntimeError: Engine core initialization failed. See root cause above."}  # fmt: skip # noqa: E501


def test_a_crash_at_start_is_exit_7_with_the_cause_and_the_container_is_kept_then_replaced(node: Node) -> None:
    config = node.config(standin=CRASH)
    name = name_of(config)
    crashed = node.dsv4("serve", config)
    assert crashed.returncode == 7
    assert "It says: ValueError: no such expert" in crashed.stderr
    assert "  | RuntimeError: Engine core initialization failed" in crashed.stderr
    assert "exit code 1" in crashed.stderr
    assert "is kept" in crashed.stderr
    assert node.state(name) == "exited"
    (status,) = envelope(node.dsv4("status", name, "--output", "json"))["data"]["deployments"]  # type: ignore[index]
    assert (status["state"], status["exit_code"]) == ("failed", 1)
    assert "no such expert" in status["why"]
    assert "ValueError: no such expert" in node.dsv4("logs", name, "--tail", "5").stdout

    removed = node.dsv4("serve", config, "--on-failure", "remove", "--output", "json")
    assert envelope(removed)["errors"][0]["code"] == "server-died"  # type: ignore[index]
    assert "Replacing the finished" in removed.stderr
    assert node.state(name) == ""
    assert "ValueError: no such expert" in node.dsv4("logs", name, "--last").stdout, "its log outlives it"


def test_a_bad_flag_forced_through_shows_what_the_server_says(node: Node) -> None:
    config = node.config(standin={"CRASH_AFTER_S": "0.1", "EXIT_CODE": "2", "LAST_LINES": "vllm: error: argument --x"})
    died = node.dsv4("serve", config, "--on-failure", "remove")
    assert (died.returncode, "vllm: error: argument --x" in died.stderr) == (7, True)
    assert "exit code 2" in died.stderr


def test_a_slow_start_shows_progress_until_the_deadline_and_goes_on_or_is_removed_as_asked(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "60", "LOG_LINES": "3"})
    name = name_of(config)
    late = node.dsv4("serve", config, "--timeout", "4")
    assert late.returncode == 7
    assert "not ready after 4 s" in late.stderr
    assert "waiting for the server's first words" in late.stderr, "no progress was shown"
    assert "goes on starting" in late.stderr
    assert node.state(name) == "running"
    node.dsv4("stop", name)
    gone = node.dsv4("serve", config, "--timeout", "2", "--on-failure", "remove")
    assert (gone.returncode, node.state(name)) == (7, "")


def test_a_crash_loop_is_given_up_and_stopped(node: Node) -> None:
    crash = {"CRASH_AFTER_S": "0.3", "READY_AFTER_S": "60"}
    config = node.config(standin=crash, target={"type": "docker", "restart": "always"})
    looped = node.dsv4("serve", config)
    assert looped.returncode == 7
    assert "times in a row" in looped.stderr
    assert node.state(name_of(config)) == "exited"


def test_killed_while_ready_is_failed_and_says_why(node: Node) -> None:
    config = node.config()
    name = name_of(config)
    assert node.dsv4("serve", config).returncode == 0
    node.docker("kill", name)
    until(lambda: node.state(name) == "exited", "the container is dead")
    status = node.dsv4("status", name, "--check")
    assert status.returncode == 10
    assert "failed, killed (SIGKILL)" in status.stdout
    node.docker("start", name)
    until(lambda: node.dsv4("status", name, "--check").returncode == 0, "it is ready again")
    node.docker("stop", name)
    assert f"{name}: stopped" in node.dsv4("status", name).stdout


def test_one_that_is_started_again_starts_whatever_its_log_says_of_its_life_before(node: Node) -> None:
    config = node.config(standin={"READY_FILE": "/tmp/ready"})
    name = name_of(config)
    assert node.dsv4("serve", config, "--detach").returncode == 0
    node.docker("exec", name, "touch", "/tmp/ready")
    until(lambda: f"{name}: ready" in node.dsv4("status", name).stdout, "it is ready")
    node.docker("exec", name, "rm", "/tmp/ready")
    node.docker("restart", "--time", "2", name)
    assert f"{name}: starting" in node.dsv4("status", name).stdout
    node.docker("exec", name, "touch", "/tmp/ready")
    until(lambda: f"{name}: ready" in node.dsv4("status", name).stdout, "it is ready again")


def test_of_two_serves_of_one_name_exactly_one_wins_and_the_other_says_so(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "8"})
    name = name_of(config)
    both = [node.start("serve", config) for _ in range(2)]
    said = [one.communicate(timeout=150) for one in both]
    assert sorted(one.returncode for one in both) == [0, 5], said
    loser = next(err for one, (_, err) in zip(both, said, strict=True) if one.returncode == 5)
    assert name in loser
    assert f"dsv4 status {name}" in loser
    assert node.state(name) == "running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing(node: Node, number: signal.Signals) -> None:
    config = node.config(standin={"READY_AFTER_S": "60"})
    name = name_of(config)
    serving = node.start("serve", config)
    until(lambda: node.state(name) == "running", "the container runs")
    time.sleep(0.5)
    serving.send_signal(number)
    _, said = serving.communicate(timeout=150)
    assert serving.returncode == 130, said
    assert "stopped and removed" in said
    assert node.state(name) == ""


def test_an_interrupt_in_the_middle_of_the_creation_leaves_nothing(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "60"})
    name = name_of(config)
    for delay_s in (0.0, 0.3):
        serving = node.start("serve", config)
        assert serving.stderr
        until(lambda pipe=serving.stderr: "Launching" in pipe.readline(), "the launch begins")  # type: ignore[misc]
        time.sleep(delay_s)
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=150)
        assert serving.returncode == 130
        assert node.state(name) == "", f"left behind, interrupted after {delay_s} s"


def test_a_launch_whose_dsv4_was_killed_is_seen_and_stopped_before_its_container_is_there(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "60"})
    name, begun, go = name_of(config), node.folder / "begun", node.folder / "go"
    os.mkfifo(go)
    tools = node.folder / "tools"
    tools.mkdir()
    # A `docker run` that begins when it is told to: what it makes comes after everything that is asked here.
    waits = f'if [ "$1" = run ]; then touch {begun}; read -r _ < {go}; fi'
    (tools / "docker").write_text(f'#!/bin/sh\n{waits}\nexec {shutil.which("docker")} "$@"\n')
    (tools / "docker").chmod(0o755)
    serving = node.start("serve", config, env={"PATH": f"{tools}:{node.env['PATH']}"})
    until(begun.exists, "the creation begins")
    serving.kill()
    serving.communicate()
    assert node.state(name) == ""
    assert f"{name}: starting" in node.dsv4("status", name).stdout
    assert f"{name}: starting" in node.dsv4("status").stdout
    second = node.dsv4("serve", config)
    assert (second.returncode, "it starts" in second.stderr) == (5, True), second.stderr
    stopping = node.start("stop", name, "--timeout", "1")
    assert stopping.stderr
    with go.open("w") as words:
        words.write("now\n")
    _, said = stopping.communicate(timeout=150)
    assert stopping.returncode == 0, said
    assert node.state(name) == ""
    assert f"{name}: absent" in node.dsv4("status", name).stdout


def test_a_server_deaf_to_sigterm_is_killed_by_stop(node: Node) -> None:
    config = node.config(standin={"IGNORE_TERM": "1"})
    assert node.dsv4("serve", config).returncode == 0
    began_s = time.monotonic()
    assert node.dsv4("stop", name_of(config), "--timeout", "2").returncode == 0
    assert time.monotonic() - began_s < 85  # the deadline that stop was given, not the engine's or ours
    assert node.state(name_of(config)) == ""


def test_a_missing_image_is_exit_6_and_starts_nothing(node: Node) -> None:
    for image, code in (("dsv4-absent:latest", "image-missing"), ("127.0.0.1:9/x/y:v0.20.0", "registry-unreachable")):
        config = node.config(container={"image": image})
        done = node.dsv4("serve", config, "--output", "json")
        assert envelope(done)["errors"][0]["code"] == code, done.stdout + done.stderr  # type: ignore[index]
        assert done.returncode == 6
        assert node.state(name_of(config)) == ""
    done = node.dsv4("serve", config, "--no-pull")
    assert (done.returncode, "--no-pull" in done.stderr) == (6, True)


@pytest.fixture(scope="module")
def plain_engine(rig: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A second engine, as on a node without the NVIDIA container toolkit; it has the stand-in image."""
    socket = tmp_path_factory.mktemp("plain") / "docker.sock"
    script = ROOT / "scripts/rig"
    subprocess.run([script, "engine", socket], check=True, capture_output=True, timeout=300)
    env = {"DOCKER_HOST": f"unix://{socket}"}
    try:
        _copy_image(STANDIN, env["DOCKER_HOST"], socket.with_name("image.tar"))
        yield env
    finally:
        subprocess.run([script, "engine", socket, "--stop"], check=True, capture_output=True, timeout=300)


def _copy_image(image: str, host: str, file: Path) -> None:
    subprocess.run(["docker", "save", "-o", file, image], check=True, timeout=150)
    subprocess.run(["docker", "--host", host, "load", "-q", "-i", file], check=True, capture_output=True, timeout=300)


def test_an_engine_without_the_nvidia_runtime(node: Node, plain_engine: dict[str, str]) -> None:
    config = node.config()
    checked = node.dsv4("serve", config, env=plain_engine)
    assert (checked.returncode, "CTR003" in checked.stderr) == (5, True)
    assert "NVIDIA Container Toolkit" in checked.stderr
    skip = ("--skip", "CTR003=to see what docker says", "--output", "json")
    runtime = node.dsv4("serve", config, *skip, env=plain_engine)
    assert envelope(runtime)["errors"][0]["code"] == "gpu-runtime", runtime.stdout  # type: ignore[index]
    config = node.config(container={"runtime": "default"})
    driver = node.dsv4("serve", config, *skip, env=plain_engine)
    assert envelope(driver)["errors"][0]["code"] == "gpu-driver", driver.stdout  # type: ignore[index]
    left = subprocess.run(["docker", "ps", "-aq"], env={**node.env, **plain_engine}, capture_output=True, text=True)
    assert left.stdout == "", "what could not start was left behind"


def test_of_many_creations_at_once_exactly_one_wins_and_the_old_one_is_replaced_once(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "60"}, gpus="all")
    name = name_of(config)
    loaded = load(config.read_bytes(), str(config))
    plan = resolve(loaded)
    places = {"home": str(node.folder), "hf_home": "/x", "dsv4_cache": str(node.folder), "rehearsal_home": "/x", "user": "u"}  # fmt: skip # noqa: E501
    words = render(plan).command.fill(places)  # type: ignore[arg-type]
    node.docker("run", "-d", "--name", name, "--label", f"dsv4.name={name}", "--entrypoint", "true", STANDIN)
    until(lambda: node.state(name) == "exited", "the old one is over")

    def create(_: int) -> str:
        driver = DockerDriver(lambda: connect(Endpoint(node.env["DOCKER_HOST"], ""), 30))
        try:
            driver.create(name, words, node.env, plan)
        except HostError as error:
            return error.problems[0].code
        return "won"

    with ThreadPoolExecutor(5) as pool:
        ends = sorted(pool.map(create, range(5)))
    assert ends == ["name-taken"] * 4 + ["won"]
    assert node.state(name) == "running"
