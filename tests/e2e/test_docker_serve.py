"""A deployment's life in a real engine, with the stand-in server: to ready, looked at, stopped, nothing left."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from dsv4_launch.run.smoke.checks import CHECKS as SMOKE
from e2e.conftest import STANDIN, Node, envelope, name_of, until, url_of

CHECKS = [check.key for check in SMOKE]


def completion(url: str, model: str, key: str = "") -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=150) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def test_serve_to_ready_then_look_then_stop_and_nothing_is_left(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "2", "REPLY": "Fine."})
    name, url = name_of(config), url_of(config)

    served = node.dsv4("serve", config)
    assert served.returncode == 0, served.stderr
    assert f"{name} is ready" in served.stdout
    assert f"{url}/v1" in served.stdout
    assert "curl -s" in served.stdout
    assert f"`dsv4 watch {name}`" in served.stdout, "nobody watches it"
    assert f"ssh -N -L {url.rpartition(':')[2]}:127.0.0.1:" in served.stdout
    assert "starting the engine processes" in served.stderr
    assert "\x1b" not in served.stdout + served.stderr
    assert completion(url, "tiny") == "Fine."

    what_ran = json.loads(node.docker("inspect", "-f", "{{json .Config.Labels}}", name))
    assert {"dsv4.name", "dsv4.digest", "dsv4.config", "dsv4.user"} <= set(what_ran)

    by_file = envelope(node.dsv4("status", config, "--check", "--output", "json"))
    (status,) = by_file["data"]["deployments"]  # type: ignore[index]
    assert (status["state"], status["drift"], status["models"]) == ("ready", "", ["tiny"])
    assert node.dsv4("status", name, "--check").returncode == 0
    assert name in node.dsv4("status").stdout

    assert "Starting to load model" in node.dsv4("logs", name).stdout
    assert len(node.dsv4("logs", name, "--tail", "3").stdout.splitlines()) == 3
    shown = node.folder / "shown.yaml"
    shown.write_text(node.dsv4("show", name).stdout)
    assert "drift" not in node.dsv4("status", shown).stdout

    again = node.dsv4("serve", config)
    assert (again.returncode, "runs already, from this very plan" in again.stdout) == (0, True)

    changed = node.dsv4("serve", config, "--set", "engine.max_num_seqs=7")
    assert changed.returncode == 5
    assert f"dsv4 stop {name}" in changed.stderr

    config.write_text(config.read_text().replace("max_model_len: auto", "max_model_len: 8192"))
    assert "drift" in node.dsv4("status", config).stdout

    stopped = node.dsv4("stop", config)
    assert (stopped.returncode, "stopped and removed" in stopped.stdout) == (0, True), stopped.stderr
    assert node.state(name) == ""
    assert node.dsv4("status", name).stdout.strip() == f"{name}: absent"
    assert node.dsv4("status", name, "--check").returncode == 10
    assert node.dsv4("stop", name).returncode == 0


def test_a_server_in_the_hosts_network_is_found_where_it_listens(node: Node) -> None:
    config = node.config(container={"network": "host"})
    name, url = name_of(config), url_of(config)
    served = node.dsv4("serve", config)
    assert (served.returncode, f"{url}/v1" in served.stdout) == (0, True), served.stderr
    assert node.dsv4("status", name, "--check").returncode == 0
    smoke = node.dsv4("smoke", name, *(w for key in CHECKS if key != "chat-stream" for w in ("--skip", f"{key}=no")))
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    assert node.dsv4("stop", name).returncode == 0


def test_a_public_endpoint_without_a_key_is_not_launched(node: Node) -> None:
    config = node.config(server={"host": "0.0.0.0"})
    name = name_of(config)
    refused = node.dsv4("serve", config)
    assert (refused.returncode, "asks for no key" in refused.stderr) == (5, True), refused.stderr
    assert node.state(name) == ""
    tried = node.dsv4("serve", config, "--dry-run", "--skip", "NET004=nobody else reaches this machine")
    assert (tried.returncode, "nobody else reaches" in tried.stdout) == (0, True), tried.stdout + tried.stderr


def test_detach_returns_at_once_and_status_tells_the_stage(node: Node) -> None:
    config = node.config(standin={"HANG": "1"})
    name = name_of(config)
    detached = envelope(node.dsv4("serve", config, "--detach", "--output", "json"))
    assert detached["data"]["state"] == "detached"  # type: ignore[index]

    def stage() -> str:
        data = envelope(node.dsv4("status", name, "--output", "json"))["data"]
        return str(data["deployments"][0]["stage"])  # type: ignore[index]

    until(lambda: "engine" in stage() or "API server" in stage() or "loaded" in stage(), "a stage from the log")
    check = node.dsv4("status", name, "--check")
    assert (check.returncode, "starting" in check.stdout) == (10, True)
    second = node.dsv4("serve", config)
    assert second.returncode == 5
    assert "is there already and not ready" in second.stderr


def test_attach_follows_the_log_and_ctrl_c_leaves_the_container_alone(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "0.2"})
    name = name_of(config)
    serving = node.start("serve", config, "--attach")
    assert serving.stdout
    assert serving.stderr
    until(lambda: "following its log" in serving.stderr.readline(), "the log is followed")
    over = threading.Event()

    def ask_on() -> None:
        """Its log is followed from some moment after that line on."""
        while not over.wait(0.2):
            completion(url_of(config), "tiny")

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_on)
        until(lambda: "POST /v1/chat/completions" in serving.stdout.readline(), "the request in the log")
        over.set()
        asking.result()
    serving.send_signal(signal.SIGINT)
    serving.communicate(timeout=150)
    assert serving.returncode == 0
    assert node.state(name) == "running"


def test_dry_run_checks_the_host_and_leaves_it_as_it_was(node: Node) -> None:
    config = node.config()
    dry = node.dsv4("serve", config, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "GPU001" in dry.stdout
    assert f"docker run --detach --name {name_of(config)} --runtime=nvidia --gpus all" in dry.stdout
    assert node.state(name_of(config)) == ""
    no_gpus = envelope(node.dsv4("serve", config, "--dry-run", "--output", "json", env={"LD_LIBRARY_PATH": ""}))
    assert no_gpus["exit_code"] == 5
    assert any("dsv4 validate" in error["fix"] for error in no_gpus["errors"])  # type: ignore[index, attr-defined]


def test_a_skipped_check_is_recorded(node: Node) -> None:
    config = node.config()
    skipped = node.dsv4(
        "serve", config, "--skip", "GPU*=no GPU in this test", "--skip", "DRV001=same", "--skip", "MEM001=same",
        "--skip", "FAB001=same", "--output", "json", env={"LD_LIBRARY_PATH": ""},
    )  # fmt: skip
    assert skipped.returncode == 0, skipped.stdout + skipped.stderr
    data = envelope(skipped)["data"]
    assert data["skipped"]["GPU*"] == "no GPU in this test"  # type: ignore[index]
    assert "no GPU in this test" in skipped.stderr


def test_a_taken_port_is_the_hosts_problem_before_and_after_the_check(node: Node) -> None:
    config = node.config()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(url_of(config).rpartition(":")[2])))
        taken.listen()
        checked = node.dsv4("serve", config)
        assert (checked.returncode, "NET001" in checked.stderr) == (5, True)
        unchecked = node.dsv4("serve", config, "--skip", "NET001=to see what docker says")
        assert unchecked.returncode == 5
        assert "is taken" in unchecked.stderr
        assert "server.port" in unchecked.stderr
    assert node.state(name_of(config)) == "", "what could not start was left behind"


def test_a_foreign_container_of_that_name_is_left_alone(node: Node) -> None:
    config = node.config()
    name = name_of(config)
    identity = node.docker("run", "-d", "--name", name, "--entrypoint", "sleep", STANDIN, "600")
    for words in (("serve", config), ("stop", name)):
        done = node.dsv4(*words)
        assert (done.returncode, "did not make" in done.stderr) == (5, True)
    assert "did not make" in node.dsv4("status", name).stdout
    assert node.docker("inspect", "-f", "{{.Id}}", name) == identity
    assert node.state(name) == "running"


def test_no_engine(node: Node) -> None:
    config = node.config()
    dead = {"DOCKER_HOST": f"unix://{node.folder}/dead.sock"}
    served = node.dsv4("serve", config, env=dead)
    assert (served.returncode, "CTR002" in served.stderr) == (5, True)
    for words in (("status", name_of(config)), ("stop", name_of(config)), ("logs", name_of(config))):
        done = node.dsv4(*words, env=dead)
        assert (done.returncode, "Docker engine is not running" in done.stderr) == (5, True)


def test_what_is_printed_is_what_runs(node: Node) -> None:
    config = node.config(
        standin={"REPLY": 'It\'s "$HOME" & ~ `x`'},
        gpus=[4, 5, 6, 7],
        env={"VLLM_ALLREDUCE_USE_SYMM_MEM": "0"},
    )
    recorded = node.folder / "argv"
    real, tools = shutil.which("docker"), node.folder / "tools"
    tools.mkdir()
    wrapper = tools / "docker"
    path = f"{tools}:{node.env['PATH']}"

    def record(then: str) -> None:
        wrapper.write_text(f'#!/bin/sh\n[ "$1" = run ] && printf \'%s\\0\' "$@" > {recorded}\n{then}\n')
        wrapper.chmod(0o755)

    record(f'exec {real} "$@"')
    assert node.dsv4("serve", config, env={"PATH": path}).returncode == 0
    ran = recorded.read_bytes()
    record("exit 0")
    for shell in ("bash", "sh"):
        for form in ("shell", "oneline"):
            recorded.unlink()
            printed = node.dsv4("render-cmd", config, "--format", form).stdout
            subprocess.run([shell, "-c", printed], env={**node.env, "PATH": path}, check=True, timeout=150)
            assert recorded.read_bytes() == ran, (shell, form)
