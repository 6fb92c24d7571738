"""What the end-to-end tests share: the rig's Docker engine, a B200 node made of a shim, and deployments that vanish."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from e2e.nvml_shim import build_shim
from e2e.ports import free_port

# A shell starts background jobs with Ctrl-C ignored, nohup ignores a closed terminal, and what is ignored is inherited:
# the tests send both to programs.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parents[2]
STANDIN = "dsv4-standin:latest"
Result = subprocess.CompletedProcess


@dataclass
class Node:
    """A machine with 8 idle B200s (a shim), a home folder of its own, and the rig's engine."""

    folder: Path
    env: dict[str, str]
    names: list[str] = field(default_factory=list)

    def config(self, *, standin: dict[str, str] | None = None, **changes: object) -> Path:
        """A config file for the stand-in image, with a name and a port that nobody else has."""
        name = f"t-{os.getpid()}-{time.monotonic_ns() % 10**9}"
        data: dict[str, object] = {
            "name": name,
            "model": {"path": str(self.folder / "model"), "variant": "flash"},
            "vllm": "0.20.0",
            "gpu": "b200",
            "parallel": {"tensor": 4, "expert": True},
            "engine": {"kv_cache_dtype": "fp8", "block_size": 256, "max_model_len": "auto"},
            "env": {f"STANDIN_{key}": value for key, value in (standin or {}).items()},
            "container": {"image": STANDIN},
            "server": {"port": free_port(), "served_model_name": "tiny"},
        }
        for key, value in changes.items():
            both = isinstance(value, dict) and isinstance(data.get(key), dict)
            data[key] = {**data[key], **value} if both else value  # type: ignore[dict-item]
        self.names.append(str(data["name"]))
        path = self.folder / f"{data['name']}.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    def dsv4(self, *words: object, env: dict[str, str] | None = None, timeout_s: float = 150) -> Result[str]:
        """Run dsv4 to its end."""
        return subprocess.run(
            command(*words), env={**self.env, **(env or {})}, capture_output=True, text=True, timeout=timeout_s
        )

    def start(self, *words: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start dsv4 in a session of its own, as a terminal would."""
        return subprocess.Popen(
            command(*words),
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def docker(self, *words: object, check: bool = True) -> str:
        """The docker command line on the rig's engine."""
        done = subprocess.run(["docker", *map(str, words)], env=self.env, capture_output=True, text=True, timeout=150)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def state(self, name: str) -> str:
        """The state of a container as the engine tells it ("" when there is none)."""
        return self.docker("inspect", "-f", "{{.State.Status}}", name, check=False)


def command(*words: object) -> list[str]:
    """The dsv4 of this environment with its arguments."""
    return [str(Path(sys.executable).with_name("dsv4")), *map(str, words)]


def name_of(config: Path) -> str:
    """The deployment's name in a config of these tests."""
    return str(yaml.safe_load(config.read_text())["name"])


def url_of(config: Path) -> str:
    """Where a config of these tests publishes its endpoint."""
    return f"http://127.0.0.1:{yaml.safe_load(config.read_text())['server']['port']}"


def until(true: Callable[[], object], what: str, timeout_s: float = 90) -> None:
    """Wait for something to become true."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def envelope(done: Result[str]) -> dict[str, object]:
    """The one JSON value on stdout."""
    data = json.loads(done.stdout)
    assert data["exit_code"] == done.returncode
    return dict(data)


@pytest.fixture(scope="session")
def rig() -> dict[str, str]:
    """The environment that reaches the rig's engine; the rig is brought up if it is not."""
    if os.geteuid() != 0 and shutil.which("docker") is None:
        pytest.skip("needs Docker, or root to install it")
    up = subprocess.run([ROOT / "scripts/rig", "up", "--no-vllm"], capture_output=True, text=True, timeout=600)
    assert up.returncode == 0, up.stderr
    said = subprocess.run([ROOT / "scripts/rig", "env"], capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^export (\w+)=(.*)$", said, re.M))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which NVML tells of 8 idle B200s."""
    return build_shim(tmp_path_factory.mktemp("nvml"), "b200x8")


@pytest.fixture
def node(rig: dict[str, str], shim: dict[str, str], tmp_path: Path) -> Iterator[Node]:
    """A node; every container that its configs name is gone afterwards, whatever happened."""
    (tmp_path / "model").mkdir()
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    state = {"HOME": str(tmp_path), "DSV4_STATE_DIR": str(tmp_path / "state")}
    made = Node(tmp_path, {**keep, **state, **rig, **shim})
    yield made
    remove(made.names, made.env)


def remove(names: Sequence[str], env: dict[str, str]) -> None:
    """Remove containers by their exact names, and their histories."""
    if not names:
        return
    subprocess.run(["docker", "rm", "--force", "--volumes", *names], env=env, capture_output=True, timeout=150)
    for name in names:
        kept = ["docker", "volume", "ls", "--quiet", "--filter", f"label=dsv4.history={name}"]
        volumes = subprocess.run(kept, env=env, capture_output=True, text=True, timeout=150).stdout.split()
        if volumes:
            subprocess.run(["docker", "volume", "rm", *volumes], env=env, capture_output=True, timeout=150)
