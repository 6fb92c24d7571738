"""Probes of the machine on real things: kernel log, mounts, processes, programs, and a Hub of our own."""

import http.server
import multiprocessing
import os
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from dsv4_launch.facts import Request
from dsv4_launch.host import disk, docker_limits, fabric, kernel, network, system
from dsv4_launch.host.looking import CouldNotLook


def ignore(_path: str, _reason: str) -> None:
    """For probes whose notes do not matter."""


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


# The kernel


def test_the_real_kernel_log_is_read() -> None:
    try:
        text, complete = kernel.read_log()
    except OSError as error:
        pytest.skip(f"this machine does not let us: {error}")
    assert text.splitlines()
    if complete:
        assert "Linux version" in text
    seen = kernel.read_kernel(ignore)
    assert seen.errors is not None
    assert seen.modules is None or set(seen.modules) == set(kernel.MODULES)


def _read_as_nobody(answer: "multiprocessing.SimpleQueue[object]", path: str) -> None:
    os.environ["PATH"] = "/nonexistent"  # no journal
    os.setgroups([])
    os.seteuid(65534)
    notes: dict[str, str] = {}
    found = kernel.read_kernel(notes.__setitem__, kmsg=Path(path))
    answer.put((found.errors, notes.get("kernel.errors")))


def test_a_log_that_this_user_may_not_read_is_unknown_and_says_why(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become nobody")
    closed = Path("/tmp") / f"dsv4-kmsg-{os.getpid()}"
    closed.write_text("6,1,2,-;secret\n")
    closed.chmod(0o600)
    fork = multiprocessing.get_context("fork")
    answer = fork.SimpleQueue()
    child = fork.Process(target=_read_as_nobody, args=(answer, str(closed)))
    child.start()
    child.join(120)
    closed.unlink()
    errors, why = answer.get()  # type: ignore[misc]
    assert errors is None
    assert "Permission denied" in why


def test_a_journal_tells_what_the_ring_buffer_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "journalctl", 'echo "NVRM: Xid (PCI:0000:01:00): 79, pid=1, GPU has fallen off the bus."')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    seen = kernel.read_kernel(ignore, kmsg=tmp_path / "none")
    assert [(e.number, e.pci) for e in seen.errors or ()] == [(79, "0000:01:00")]
    assert seen.complete
    program(tmp_path / "journalctl", 'echo "Hint: You are currently not seeing messages from other users" >&2; exit 1')
    notes: dict[str, str] = {}
    assert kernel.read_kernel(notes.__setitem__, kmsg=tmp_path / "none").errors is None
    assert "No such file" in notes["kernel.errors"]


# Fabric Manager


def test_a_fabric_manager_is_read_as_it_is_installed_and_runs(tmp_path: Path) -> None:
    absent = fabric.read_fabric(ignore, str(tmp_path))
    assert (absent.installed, absent.version) == (False, None)
    program(tmp_path / fabric.PROGRAM, 'echo "Fabric Manager version is : 580.95.05"')
    stopped = fabric.read_fabric(ignore, str(tmp_path))
    assert (stopped.installed, stopped.version, stopped.running) == (True, "580.95.05", False)
    binary = tmp_path / "bin" / fabric.PROGRAM
    binary.parent.mkdir()
    shutil.copy(str(shutil.which("sleep")), binary)
    subnet = binary.with_name(fabric.SUBNET_MANAGER)
    shutil.copy(binary, subnet)
    processes = [subprocess.Popen([path, "30"]) for path in (binary, subnet)]
    try:
        deadline = time.monotonic() + 90
        while not fabric.read_fabric(ignore, str(tmp_path)).running and time.monotonic() < deadline:
            time.sleep(0.05)
        running = fabric.read_fabric(ignore, str(tmp_path))
        assert (running.running, running.nvlsm_running) == (True, True)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    program(tmp_path / fabric.PROGRAM, "exit 3")
    notes: dict[str, str] = {}
    assert fabric.read_fabric(notes.__setitem__, str(tmp_path)).version is None
    assert "ended with 3" in notes["fabric_manager.version"]


# Limits and processors


def test_limits_are_those_of_the_process() -> None:
    shell = "ulimit -n 300; exec python3 -c 'import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))'"
    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout == "300 300\n"
    code = "from dsv4_launch.host.system import read_limits as r; print(r().nofile_hard, r().nofile_soft)"
    shell = f'ulimit -n 300; exec "{os.sys.executable}" -c "{code}"'  # type: ignore[attr-defined]
    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout == "300 300\n"
    found = system.read_system(ignore)
    assert found.limits is not None
    assert found.numa_nodes is None or found.numa_nodes >= 1
    assert docker_limits.own_limits(Path("/proc/self/limits").read_text())["nofile"] == found.limits.nofile_hard


# Mounts


@pytest.fixture
def loop_mount(tmp_path: Path) -> Iterator[Path]:
    """A real ext4 file system of its own, on a loop device."""
    image, point = tmp_path / "disk.img", tmp_path / "large disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * 1024**2)
    made = subprocess.run(["mkfs.ext4", "-q", "-F", image], capture_output=True, check=False)
    if (
        made.returncode
        or subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine has no loop devices for us")
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


def test_a_local_disk_beside_the_root_is_seen(loop_mount: Path) -> None:
    found = {mount.mount_point: mount for mount in disk.read_mounts()}
    mine = found[str(loop_mount)]
    assert mine.fs_type == "ext4"
    assert 30 * 1024**2 < mine.free_bytes <= mine.total_bytes < 64 * 1024**2
    assert disk.read_disk("weights", str(loop_mount / "hub"), ignore).fs_type == "ext4"
    sizes = [mount.free_bytes for mount in disk.read_mounts()]
    assert sizes == sorted(sizes, reverse=True)
    subprocess.run(["mount", "-o", "remount,ro", loop_mount], check=True)
    assert str(loop_mount) not in {mount.mount_point for mount in disk.read_mounts()}


def test_network_and_memory_file_systems_are_no_place_that_is_offered(tmp_path: Path) -> None:
    line = "36 25 0:{} / {} rw,relatime - {} source rw\n"
    text = "".join(line.format(n, tmp_path, kind) for n, kind in enumerate(("nfs4", "tmpfs", "fuse.juicefs")))
    assert disk.read_mounts(text) == ()
    assert disk.mount_of(str(tmp_path / "x"), text) == (str(tmp_path), "fuse.juicefs")
    assert [m.mount_point for m in disk.read_mounts(line.format(9, tmp_path, "xfs") * 2)] == [str(tmp_path)]


# The engine's surroundings


def test_device_links_are_those_of_real_devices(tmp_path: Path) -> None:
    assert docker_limits.read_device_links(tmp_path), "no GPU, no link that is missing"
    try:
        os.mknod(tmp_path / "nvidia0", 0o600 | stat.S_IFCHR, os.makedev(195, 0))
    except OSError:
        pytest.skip("this user may not make devices")
    (tmp_path / "nvidia-caps").mkdir()
    (tmp_path / "char").mkdir()
    assert not docker_limits.read_device_links(tmp_path)
    (tmp_path / "char" / "195:0").symlink_to("../nvidia0")
    assert docker_limits.read_device_links(tmp_path)


def test_the_version_of_the_toolkit_is_read(tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path)}
    assert docker_limits.read_toolkit(ignore, env) == ""
    program(tmp_path / "nvidia-container-cli", 'echo "cli-version: 1.17.4"; echo "lib-version: 1.17.4"')
    assert docker_limits.read_toolkit(ignore, env) == "1.17.4"
    program(tmp_path / "nvidia-ctk", 'echo "NVIDIA Container Toolkit CLI version 1.18.0"; echo "commit: abc"')
    assert docker_limits.read_toolkit(ignore, env) == "1.18.0"
    program(tmp_path / "nvidia-ctk", "exit 1")
    notes: dict[str, str] = {}
    assert docker_limits.read_toolkit(notes.__setitem__, env) is None
    assert "names none" in notes["docker.toolkit_version"]


def test_limits_of_an_engine_elsewhere_are_not_known() -> None:
    with pytest.raises(CouldNotLook):
        docker_limits.read_default_ulimits("tcp://127.0.0.1:1")
    with pytest.raises(CouldNotLook):
        docker_limits.read_default_ulimits("unix:///no/such.sock")


# The Hub


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers as the Hub does: who may read what, and what time it is."""

    late_s = 0.0
    seen: "list[tuple[str, str | None]]"
    dated = True

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        allowed = self.headers.get("Authorization") == "Bearer hf_canary"
        status = 200
        if "gated" in self.path:
            status = 200 if allowed else 403
        elif "moved" in self.path:
            status = 307
        elif "absent" in self.path:
            status = 404
        self.send_response_only(status)
        if self.dated:
            self.send_header("Date", formatdate(time.time() - self.late_s, usegmt=True))
        if status == 307:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[tuple[str, type[Hub]]]:
    handler = type("OneHub", (Hub,), {"seen": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
        server.shutdown()


def test_what_a_token_may_read_is_asked_and_the_token_kept(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    url, handler = hub
    request = Request(network=True, repos=(("o/gated", None), ("o/open", "v1"), ("o/absent", None), ("o/moved", None)))
    env = {"HF_ENDPOINT": url, "HF_TOKEN": "hf_canary", "HOME": str(tmp_path)}
    found = network.read_network(request, ignore, env)
    assert found.reachable
    assert (found.access["o/gated"], found.access["o/open"], found.access["o/moved"]) == ("yes", "yes", "yes")
    assert found.access["o/absent"].startswith("no: there is no such repository")
    assert found.skew_s is not None
    assert abs(found.skew_s) < 60
    assert "canary" not in found.model_dump_json()
    assert handler.seen[0] == ("/api/models?limit=1", None), "the clock is asked without the token"
    found = network.read_network(request, ignore, {**env, "HF_TOKEN": ""})
    assert found.access["o/gated"] == "no: the token may not read it (403)"
    (tmp_path / ".cache/huggingface").mkdir(parents=True)
    (tmp_path / ".cache/huggingface/token").write_text("hf_canary\n")
    assert network.read_network(request, ignore, {**env, "HF_TOKEN": ""}).access["o/gated"] == "yes"


def test_a_wrong_clock_is_measured(hub: tuple[str, type[Hub]]) -> None:
    url, handler = hub
    handler.late_s = 600
    found = network.read_network(Request(network=True), ignore, {"HF_ENDPOINT": url})
    assert 540 < (found.skew_s or 0) < 660
    handler.dated = False
    notes: dict[str, str] = {}
    assert network.read_network(Request(network=True), notes.__setitem__, {"HF_ENDPOINT": url}).skew_s is None
    assert "no date" in notes["network.skew_s"]


def test_a_hub_that_is_not_there_is_not_reached_and_its_password_not_shown() -> None:
    found = network.read_network(Request(network=True), ignore, {"HF_ENDPOINT": "http://u:canary@127.0.0.1:9"})
    assert (found.reachable, found.endpoint) == (False, "http://127.0.0.1:9")
    assert found.detail
    assert "canary" not in found.model_dump_json()
    assert not network.read_network(Request(network=True), ignore, {"HF_ENDPOINT": "file:///etc/passwd"}).reachable
