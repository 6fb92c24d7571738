"""The docker probe on a real engine of its own, and on every way of not reaching one."""

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsv4_launch.facts import Request
from dsv4_launch.host import docker
from dsv4_launch.host.docker_address import Endpoint
from dsv4_launch.host.docker_limits import own_limits


def ignore(_path: str, _reason: str) -> None:
    """For probes whose notes do not matter."""


def listener(host: str = "127.0.0.1", family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, 0))
    server.listen(5)
    return server


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Docker engine of our own, beside any other: own socket, own data, no network."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("needs dockerd and root")
    folder = tmp_path_factory.mktemp("docker")
    config = folder / "daemon.json"
    limits = {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}}
    config.write_text(json.dumps({"runtimes": {"nvidia": {"path": "runc"}}, "default-ulimits": limits}))
    url = f"unix://{folder}/docker.sock"
    own = {"data-root": folder / "data", "exec-root": folder / "exec", "pidfile": folder / "pid", "bridge": "none"}
    options = [f"--{name}={value}" for name, value in own.items()]
    command = ["dockerd", "--config-file", config, "--host", url, "--iptables=false", "--ip6tables=false", *options]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 180
        while docker.knock(Endpoint(url, "")) is not None or _docker(url, "version").returncode:
            assert daemon.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield url
    finally:
        daemon.terminate()
        daemon.wait(120)


def _docker(url: str, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["docker", "--host", url, *words], input=stdin, capture_output=True, check=False, timeout=150)


def test_a_running_engine_is_read(engine: str, tmp_path: Path) -> None:
    empty = subprocess.run(["tar", "-cf", "-", "-T", "/dev/null"], capture_output=True, check=True).stdout
    change = ["--change", "ENV CUDA_VERSION=13.0.1", "--change", "ENV MY_TOKEN=canary", "--change", 'CMD ["x"]']
    made = _docker(engine, "import", *change, "-", "stand-in:1", stdin=empty)
    assert made.returncode == 0, made.stderr
    labels = ["--label", "dsv4.name=mine", "--label", "other=canary"]
    made = _docker(
        engine, "create", "--name", "mine", "--net=none", *labels, "-p", "127.0.0.1:18999:8000", "stand-in:1"
    )
    assert made.returncode == 0, made.stderr
    identity = made.stdout.decode().strip()
    request = Request(
        docker=True,
        images=("stand-in:1", "absent:1"),
        containers=("mine", "absent", identity[:12]),
        ports=(("127.0.0.1", 18999),),
    )
    notes: dict[str, str] = {}
    found, space = docker.read_docker(request, notes.__setitem__, {"DOCKER_HOST": engine, "PATH": os.environ["PATH"]})
    assert (found.engine, found.endpoint, found.context) == ("ready", engine, "")
    assert found.cli_path == shutil.which("docker")
    assert found.runtimes is not None
    assert {"nvidia", "runc"} <= set(found.runtimes)
    assert found.images is not None
    assert found.images["absent:1"] is None
    image = found.images["stand-in:1"]
    assert image is not None
    assert image.env == {"CUDA_VERSION": "13.0.1"}
    assert found.containers is not None
    assert found.containers["absent"] is None
    assert found.containers[identity[:12]] is None, "an id is no name"
    container = found.containers["mine"]
    assert container is not None
    assert (container.id, container.state, container.labels) == (identity, "created", {"dsv4.name": "mine"})
    assert container.host_ports == (18999,)
    assert found.default_ulimits is not None
    assert found.default_ulimits["nofile"] == 4096, "the daemon's configuration wins over its own limits"
    assert found.default_ulimits["memlock"] == own_limits(Path("/proc/self/limits").read_text())["memlock"]
    assert found.cgroup_driver in ("cgroupfs", "systemd")
    assert (found.cgroup_version, found.storage_driver) != (None, None)
    assert found.toolkit_version == "" or shutil.which("nvidia-ctk") or shutil.which("nvidia-container-cli")
    assert "canary" not in found.model_dump_json()
    assert space is not None
    assert space.path == found.data_root
    assert notes == {}


def test_the_current_context_of_the_docker_config_is_obeyed(engine: str, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "config")}
    for words in (["create", "lab", "--docker", f"host={engine}"], ["use", "lab"]):
        subprocess.run(["docker", "context", *words], env=env, check=True, capture_output=True)
    found, _ = docker.read_docker(Request(docker=True), ignore, env)
    assert (found.engine, found.context, found.endpoint) == ("ready", "lab", engine)
    # The default context does not reach this engine; naming it wins over the config.
    other, _ = docker.read_docker(Request(docker=True), ignore, env | {"DOCKER_CONTEXT": "default"})
    assert other.endpoint == "unix:///var/run/docker.sock"
    gone, _ = docker.read_docker(Request(docker=True), ignore, env | {"DOCKER_CONTEXT": "no-such"})
    assert gone.engine == "error"
    assert "no-such" in (gone.detail or "")


def test_an_engine_that_is_not_there_is_down(tmp_path: Path) -> None:
    env = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PATH": str(tmp_path)}
    found, space = docker.read_docker(Request(docker=True), ignore, env)
    assert (found.engine, space) == ("down", None)
    assert found.cli_path is None
    path = tmp_path / "left-behind.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    assert docker.read_docker(Request(docker=True), ignore, {"DOCKER_HOST": f"unix://{path}"})[0].engine == "down"
    with listener() as server:
        port = server.getsockname()[1]
    found, _ = docker.read_docker(Request(docker=True), ignore, {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"})
    assert (found.engine, found.detail) == ("down", f"nobody answers at 127.0.0.1:{port}")


def _knock_as_nobody(url: str, answer: "multiprocessing.SimpleQueue[object]") -> None:
    os.setgroups([])
    os.seteuid(65534)
    answer.put(docker.knock(Endpoint(url, "")))


def test_an_engine_that_refuses_this_user_is_not_called_down(tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become nobody")
    path = Path("/tmp") / f"dsv4-denied-{os.getpid()}.sock"
    fork = multiprocessing.get_context("fork")
    answer = fork.SimpleQueue()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0o600)
        child = fork.Process(target=_knock_as_nobody, args=(f"unix://{path}", answer))
        child.start()
        child.join(120)
        path.unlink()
    assert answer.get() == ("denied", f"this user may not open {path}")


def test_what_is_no_engine_is_an_error_and_its_silence_has_an_end() -> None:
    with listener() as server:

        def hang_up() -> None:
            for _ in range(2):
                server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        found, _ = docker.read_docker(
            Request(docker=True), ignore, {"DOCKER_HOST": f"tcp://127.0.0.1:{server.getsockname()[1]}"}
        )
    assert found.engine == "error"
    assert found.detail
