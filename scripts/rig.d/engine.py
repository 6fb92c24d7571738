"""Docker engines for tests: one that takes the documented GPU options, and plain ones that refuse them.

On a machine without a GPU, `--gpus all` needs only a program named nvidia-container-runtime-hook on the engine's
PATH (https://github.com/moby/moby/blob/v20.10.24/daemon/nvidia_linux.go) and `--runtime=nvidia` a runtime of
that name: here a hook that does nothing, and runc. Both are given to this engine alone, by its PATH and its own
configuration file; /etc and the machine's own engine are left as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from shell import RigError, answers, install, rig_home, run, say

DEFAULT_SOCKET = Path("/var/run/docker.sock")
# Its package starts a server that anybody may reach, where systemd is there to do so: not on a machine in use.
SSH = (
    {}
    if Path("/run/systemd/system").exists()
    else {"rsync": "rsync", "sshd": "openssh-server", "ssh": "openssh-client"}
)
PACKAGES = {"dockerd": "docker.io", "containerd": "docker.io", "iptables": "iptables", "ip": "iproute2"}


@dataclass(frozen=True)
class Engine:
    """One engine that this rig may start: where it keeps its things and where it answers."""

    home: Path
    socket: Path
    plain: bool

    @property
    def bridge(self) -> tuple[str, str]:
        """Its own network bridge: name and address. `docker0` is not ours, and `--bridge=none` would delete it
        (https://github.com/moby/moby/blob/v20.10.24/daemon/daemon_unix.go, removeDefaultBridgeInterface).
        """
        number = zlib.crc32(str(self.socket).encode()) % 200 + 2 if self.plain else 1
        return f"dsv4br{number}", f"172.30.{number}.1/24"

    @property
    def host(self) -> str:
        """What DOCKER_HOST must say."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The process id of the engine we started, while it lives."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home / "dockerd.pid").read_text())
            if b"dockerd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def env(self) -> dict[str, str]:
        """The environment in which the docker client talks to it."""
        return {**os.environ, "DOCKER_HOST": self.host}

    def answers(self) -> bool:
        """Whether it answers on its socket."""
        return self.socket.exists() and answers(["docker", "version", "-f", "{{.Server.Version}}"], self.env())


def gpu_engine() -> Engine:
    """The engine that takes GPU options: on the default socket, or on its own where another engine has that."""
    home = rig_home() / "engine"
    ours = Engine(home, DEFAULT_SOCKET, plain=False)
    if ours.pid is None and ours.answers() and not _has_nvidia(ours):
        return Engine(home, home / "docker.sock", plain=False)
    if (home / "docker.sock").exists():
        return Engine(home, home / "docker.sock", plain=False)
    return ours


def plain_engine(socket: Path) -> Engine:
    """An engine as on a node without the NVIDIA container toolkit, at `socket`, kept beside it."""
    return Engine(socket.parent / f"{socket.name}.d", socket, plain=True)


def start(engine: Engine, timeout_s: float = 180) -> None:
    """Start it unless it answers already. Raises RigError with the end of its log."""
    install(PACKAGES | SSH)
    install({"docker": "docker-cli"})  # a package of its own from Debian 13 on
    if engine.answers():
        return
    say(f"starting a Docker engine at {engine.socket}" + (" without the nvidia runtime" if engine.plain else ""))
    engine.home.mkdir(parents=True, exist_ok=True)
    engine.socket.parent.mkdir(parents=True, exist_ok=True)
    log = engine.home / "dockerd.log"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if not engine.plain:
        path = f"{_nvidia_hook(engine.home)}:{path}"
    _make_bridge(*engine.bridge)
    with log.open("w") as out:
        child = subprocess.Popen(
            _command(engine),
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    deadline_s = time.monotonic() + timeout_s
    while not engine.answers():
        if child.poll() is not None or time.monotonic() > deadline_s:
            tail = "\n  ".join(log.read_text().splitlines()[-12:])
            raise RigError(f"the Docker engine did not start ({log}):\n  {tail}")
        time.sleep(0.2)


def stop(engine: Engine, timeout_s: float = 180) -> bool:
    """Stop an engine that we started, its containers first; False when none of ours runs."""
    pid = engine.pid
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline_s = time.monotonic() + timeout_s
    while engine.pid is not None:
        if time.monotonic() > deadline_s:
            raise RigError(f"the Docker engine (process {pid}) did not stop within {timeout_s:.0f} s")
        time.sleep(0.1)
    engine.socket.unlink(missing_ok=True)
    answers(["ip", "link", "delete", engine.bridge[0]])
    return True


def _make_bridge(name: str, address: str) -> None:
    if not Path(f"/sys/class/net/{name}").exists():
        run(["ip", "link", "add", "name", name, "type", "bridge"])
        run(["ip", "address", "add", address, "dev", name])
    run(["ip", "link", "set", name, "up"])


def _has_nvidia(engine: Engine) -> bool:
    return "nvidia" in json.loads(run(["docker", "info", "-f", "{{json .Runtimes}}"], env=engine.env()))


def _nvidia_hook(home: Path) -> Path:
    folder = home / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    hook = folder / "nvidia-container-runtime-hook"
    hook.write_text("#!/bin/sh\n# Stands in for the NVIDIA container toolkit's hook: there is no GPU.\nexit 0\n")
    hook.chmod(0o755)
    return folder


def _command(engine: Engine) -> list[str]:
    config: dict[str, object] = {} if engine.plain else {"runtimes": {"nvidia": {"path": "runc"}}}
    file = engine.home / "daemon.json"
    file.write_text(json.dumps(config) + "\n")
    command = ["dockerd", "--config-file", str(file), "-H", engine.host, "-p", str(engine.home / "dockerd.pid")]
    command += ["--data-root", str(engine.home / "data"), "--exec-root", str(engine.home / "exec")]
    command += ["--bridge", engine.bridge[0]]
    # Two engines cannot share the iptables chains; a plain one's ports are published by its proxy process alone.
    return command + (["--iptables=false", "--ip-masq=false"] if engine.plain else [])
