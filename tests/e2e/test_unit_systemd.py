"""The printed unit under a real systemd: launch, restarts, a watch that is killed, a change, and the stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import here
from e2e.conftest import Node, name_of, until
from e2e.native_box import Box, boxes, make_home
from e2e.user_systemd import Manager, can_run, managers

pytestmark = [pytest.mark.timeout(1200), pytest.mark.skipif(bool(can_run()), reason=can_run())]


@pytest.fixture(scope="module")
def manager() -> Iterator[Manager]:
    yield from managers()


@pytest.fixture
def box(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    yield from boxes(tmp_path, make_home(tmp_path_factory.mktemp("home")))


def environment_file(folder: Path, env: dict[str, str]) -> Path:
    path = folder / "unit.env"
    path.write_text("".join(f'{name}="{value}"\n' for name, value in env.items()))
    return path


def test_native(box: Box, manager: Manager) -> None:
    box.write("watch: {backoff_s: 0.1}")
    file = environment_file(
        box.folder, {name: box.env[name] for name in box.env if name.startswith(("DSV4_", "STANDIN_"))}
    )
    printed = box.dsv4("unit", str(box.config), "--environment-file", str(file))
    assert printed.returncode == 0, printed.stderr
    unit = f"dsv4-{box.name}.service"
    manager.install(unit, printed.stdout, "RestartSec=1")

    def watch() -> int:
        return int(manager.told(unit, "MainPID") or 0)

    def server() -> int:
        record = box.record()["server"]
        return int(record["pid"]) if isinstance(record, dict) else 0

    def well() -> bool:
        return box.state_of() == "ready" and box.watched()

    started = manager.systemctl("start", unit)
    assert started.returncode == 0, started.stderr
    box.wait_for("ready", 120)
    until(well, "ready and watched", 120)

    first = server()
    os.kill(first, signal.SIGKILL)
    until(lambda: box.folder_of_service.exists() and server() not in (0, first) and well(), "the server is back", 120)

    killed, kept = watch(), server()
    os.kill(killed, signal.SIGKILL)
    until(lambda: watch() not in (0, killed) and well(), "the watch is back", 120)
    assert server() == kept, "the server went on meanwhile"

    box.write('watch: {backoff_s: 0.1}\nenv: {STANDIN_REPLY: "second"}')
    applied = box.dsv4("apply", str(box.config), "--yes", "--smoke", "short")
    assert applied.returncode == 0, applied.stderr
    until(well, "what was applied is watched", 120)
    assert manager.told(unit, "ActiveState") == "active"
    third = server()
    assert third != kept
    os.kill(third, signal.SIGKILL)
    until(lambda: server() not in (0, third) and well(), "what was applied is started again", 120)

    stopped = manager.systemctl("stop", unit)
    assert stopped.returncode == 0, stopped.stderr
    assert (manager.told(unit, "ActiveState"), manager.told(unit, "Result")) == ("inactive", "success")
    assert box.dsv4("logs", box.name, "--last").returncode == 0, "its log was saved"
    box.assert_gone()


def test_docker(node: Node, manager: Manager) -> None:
    """What `apply` stops is no end of the unit, whose stop would end what was just launched."""
    config = node.config(standin={"READY_AFTER_S": "0.3"}, watch={"backoff_s": 0.1})
    name = name_of(config)
    printed = node.dsv4("unit", config, "--environment-file", environment_file(node.folder, node.env))
    assert printed.returncode == 0, printed.stderr
    unit = f"dsv4-{name}.service"
    manager.install("docker.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n")
    manager.install(unit, printed.stdout, "RestartSec=1")

    def watched_by_the_unit() -> bool:
        told = here.dsv4(node.env, "status", name, "--window", "0").stdout
        return "ready" in told and f"by process {manager.told(unit, 'MainPID')} " in told

    started = manager.systemctl("start", unit)
    assert started.returncode == 0, started.stderr
    until(watched_by_the_unit, "ready and watched", 120)
    before = node.docker("inspect", "-f", "{{.Id}}", name)
    config.write_text(config.read_text().replace("max_model_len: auto", "max_model_len: 4096"))
    applied = node.dsv4("apply", config, "--yes", "--smoke", "short")
    assert applied.returncode == 0, applied.stderr
    until(watched_by_the_unit, "what was applied is watched", 120)
    after = node.docker("inspect", "-f", "{{.Id}}", name)
    assert after != before
    node.docker("kill", name)
    until(lambda: node.state(name) == "running" and watched_by_the_unit(), "what was applied is started again", 120)
    assert node.docker("inspect", "-f", "{{.Id}}", name) == after

    stopped = manager.systemctl("stop", unit)
    assert stopped.returncode == 0, stopped.stderr
    assert (manager.told(unit, "ActiveState"), manager.told(unit, "Result")) == ("inactive", "success")
    assert node.state(name) == ""
