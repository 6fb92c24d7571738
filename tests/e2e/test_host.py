"""The probes on real things: sockets, file systems, interpreters, and all of them together."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsv4_launch.facts import HostFacts, Request
from dsv4_launch.host import disk, native, ports
from dsv4_launch.host.looking import CouldNotLook
from dsv4_launch.host.probe import probe
from e2e.bench_box import old_python


def ignore(_path: str, _reason: str) -> None:
    """For probes whose notes do not matter."""


# Ports


def listener(host: str = "127.0.0.1", family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, 0))
    server.listen(5)
    return server


def test_a_port_with_a_listener_is_taken_and_its_holder_named() -> None:
    with listener() as server:
        port = ports.read_port("127.0.0.1", server.getsockname()[1])
    assert not port.free
    assert port.pid == os.getpid()
    assert port.process == Path("/proc/self/comm").read_text().strip()


def test_wildcard_and_loopback_stand_in_each_others_way() -> None:
    with listener("0.0.0.0") as server:
        assert not ports.read_port("127.0.0.1", server.getsockname()[1]).free
    with listener("127.0.0.1") as server:
        assert not ports.read_port("0.0.0.0", server.getsockname()[1]).free
        assert ports.read_port("127.0.0.2", server.getsockname()[1]).free


def test_a_port_whose_connections_are_in_time_wait_is_free() -> None:
    server = listener()
    address = server.getsockname()
    with socket.create_connection(address) as client:
        accepted, _ = server.accept()
        accepted.close()  # who closes first keeps TIME_WAIT: the server's side
        assert client.recv(1) == b""
    server.close()
    time.sleep(0.2)
    table = Path("/proc/net/tcp").read_text()
    assert f":{address[1]:04X} " in table, "the kernel keeps the closed connection"
    assert ports.read_port(*address).free


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    port = ports.read_port("192.0.2.1", 8000)
    assert not port.free
    assert port.detail == "Cannot assign requested address"


def test_a_name_without_an_address_is_not_known() -> None:
    with pytest.raises(CouldNotLook):
        ports.read_port("no-such-host.invalid", 8000)


# Disks


def test_a_path_that_does_not_exist_is_judged_by_its_parent(tmp_path: Path) -> None:
    found = disk.read_disk("weights", str(tmp_path / "a" / "b"), ignore)
    assert found.looked_at == str(tmp_path.resolve())
    assert not found.exists
    assert abs(found.free_bytes - shutil.disk_usage(tmp_path).free) < 10**9  # others write here too
    assert disk.read_disk("weights", str(tmp_path), ignore).exists


def test_a_mount_is_recognised(tmp_path: Path) -> None:
    point = tmp_path / "with space"
    point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", point], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount")
    try:
        found = disk.read_disk("weights", str(point / "hub"), ignore)
        assert (found.mount_point, found.fs_type, found.total_bytes) == (str(point), "tmpfs", 8 * 1024**2)
    finally:
        subprocess.run(["umount", point], check=True)


# A vllm executable


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_version_is_that_of_the_executables_own_python(tmp_path: Path, wrapped: bool) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    info = next(venv.glob("lib/python3*/site-packages")) / "vllm-9.8.7+cpu.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 9.8.7+cpu\n")
    python = venv / "bin" / "python"
    head = f"""#!/bin/sh\n'''exec' "{python}" "$0" "$@"\n' '''\n""" if wrapped else f"#!{python}\n"
    script = venv / "bin" / "vllm"
    script.write_text(head + "raise SystemExit('it must not be started')\n")
    script.chmod(0o755)
    found = native.read_native("vllm", ignore, {"PATH": str(venv / "bin")})
    assert (found.path, found.version) == (str(script), "9.8.7+cpu")


def test_the_version_is_known_of_an_older_python_too(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    info = next(venv.glob("lib/python3*/site-packages")) / "vllm-9.8.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 9.8.7\n")
    script = venv / "bin" / "vllm"
    script.write_text(f"#!{old_python(venv / 'bin' / 'python3.10', of=venv / 'bin' / 'python')}\n")
    script.chmod(0o755)
    assert native.read_native(str(script), ignore).version == "9.8.7"


def test_an_executable_that_is_no_python_script_is_asked(tmp_path: Path) -> None:
    script = tmp_path / "vllm"
    script.write_text("#!/bin/sh\necho 'INFO 01-01 noise 1.2'\necho 0.20.0\n")
    script.chmod(0o755)
    assert native.read_native(str(script), ignore).version == "0.20.0"


def test_a_broken_executable_is_there_but_its_version_unknown(tmp_path: Path) -> None:
    script = tmp_path / "vllm"
    script.write_text("#!/bin/sh\necho 'no module named torch' >&2\nexit 3\n")
    script.chmod(0o755)
    notes: dict[str, str] = {}
    found = native.read_native(str(script), notes.__setitem__)
    assert (found.path, found.version) == (str(script), None)
    assert "no module named torch" in notes["native.version"]


# All together


def test_a_whole_probe_reads_back() -> None:
    facts = probe(
        Request(
            gpus=True,
            docker=True,
            executable="vllm",
            paths=(("weights", "/no/such/place"), ("bad", "relative")),
            ports=(("127.0.0.1", 1),),
            repos=(("a/b", None),),
            token_env="HF_TOKEN",
            variables=("HOME", "NO_SUCH_VARIABLE"),
        ),
        taken_at="2026-11-23T00:00:00Z",
    )
    assert facts.taken_at == "2026-11-23T00:00:00Z"
    assert facts.variables == {"HOME": True, "NO_SUCH_VARIABLE": False}
    assert facts.disks is not None
    assert facts.disks["bad"] is None
    assert facts.why("disks.bad") == "'relative' is not an absolute path"
    assert HostFacts.from_json(facts.to_json()) == facts


def test_a_token_is_seen_and_never_recorded() -> None:
    code = (
        "from dsv4_launch.host.probe import probe; from dsv4_launch.facts import Request;"
        "print(probe(Request(token_env='MY_TOKEN', variables=('MY_TOKEN',))).to_json())"
    )
    env = os.environ | {"MY_TOKEN": "hf_canary", "HF_ENDPOINT": "https://user:canary@mirror.example/x"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=150
    )
    facts = HostFacts.from_json(done.stdout)
    assert facts.hub is not None
    assert (facts.hub.token_present, facts.hub.token_source) == (True, "environment")
    assert facts.hub.endpoint == "https://mirror.example/x"
    assert "canary" not in done.stdout + done.stderr
