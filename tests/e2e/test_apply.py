"""A running deployment changed on a real engine: made, refused, rolled back, by hand and by any user of the engine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from e2e.conftest import Node, Result, envelope, name_of, until, url_of
from e2e.native_box import boxes, make_home

SHORT = ("--yes", "--smoke", "short")
# Another user: the modules are loaded before the user changes, since the checkout may be closed to others.
AS_COLLEAGUE = """
import os, sys
from dsv4_launch.cli import main, drivers
from dsv4_launch.cli.apply import history as history_command
from dsv4_launch.cli.apply import histories
from dsv4_launch.cli.service import statuses
from dsv4_launch.cli.apply import changes
from dsv4_launch.run.history import docker as history_docker
from dsv4_launch.run.history import native as history_native
from dsv4_launch.run.docker import service as docker_service
from dsv4_launch.run.native import service as native_service
from dsv4_launch.host import docker, docker_address, looking
import docker as package
package.from_env
from dsv4_launch.config import load
group, user, *words = sys.argv[1:]
os.setgroups([]); os.setgid(int(group)); os.setuid(int(user))
sys.exit(main.main(words))
"""


def changed(config: Path, **changes: object) -> Path:
    """The same deployment with other values, as another file."""
    data = yaml.safe_load(config.read_text())
    for key, value in changes.items():
        data[key] = {**data[key], **value} if isinstance(value, dict) and isinstance(data.get(key), dict) else value
    path = config.with_name(f"changed-{len(list(config.parent.iterdir()))}.yaml")
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def reply(url: str, model: str = "tiny") -> str:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=150) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def served(node: Node, **standin: str) -> Path:
    config = node.config(standin={"READY_AFTER_S": "0.3", "REPLY": "first", **standin})
    done = node.dsv4("serve", config)
    assert done.returncode == 0, done.stderr
    return config


def identity(node: Node, name: str) -> str:
    return node.docker("inspect", "-f", "{{.Id}}", name)


def codes(done: Result[str]) -> list[str]:
    return [error["code"] for error in envelope(done)["errors"]]  # type: ignore[index, attr-defined]


def entries(node: Node, name: str) -> list[dict[str, object]]:
    data = envelope(node.dsv4("history", name, "--output", "json"))["data"]
    return list(data["entries"])  # type: ignore[index]


def test_a_change_is_compared_made_written_down_and_undone(node: Node, tmp_path: Path) -> None:
    config = served(node)
    name, old_url = name_of(config), url_of(config)
    assert node.dsv4("diff", config).returncode == 0
    port = int(url_of(node.config()).rpartition(":")[2])
    newer = changed(config, env={"STANDIN_REPLY": "second"}, server={"port": port})

    differs = envelope(node.dsv4("diff", newer, "--output", "json"))
    rows = {(row["part"], row["name"]): row for row in differs["data"]["differences"]}  # type: ignore[index]
    assert differs["exit_code"] == 10
    assert set(rows) == {("endpoint", "port"), ("env", "STANDIN_REPLY")}
    assert rows["endpoint", "port"]["config"] == str(port)
    assert any("clients, proxies and tunnels" in e["text"] for e in differs["data"]["effects"])  # type: ignore[index]

    before = identity(node, name)
    for words in (("apply", newer), ("apply", newer, "--output", "json")):
        asked = node.dsv4(*words)
        assert (asked.returncode, "--yes" in asked.stderr + asked.stdout) == (2, True)
    assert "endpoint port" in node.dsv4("apply", newer, "--dry-run").stdout
    units = tmp_path / ".config/systemd/user"
    units.mkdir(parents=True)
    (units / f"dsv4-{name}.service").write_text(node.dsv4("unit", config).stdout)
    assert identity(node, name) == before

    done = node.dsv4("apply", newer, *SHORT)
    assert done.returncode == 0, done.stderr
    downtime = re.search(r"Downtime: ([\d.]+) s", done.stdout)
    assert downtime
    assert 0 < float(downtime.group(1)) < 600
    assert "Two completions answered" in done.stdout
    assert f"launches {config}, which says something else" in done.stderr
    assert reply(f"http://127.0.0.1:{port}") == "second"
    with pytest.raises(OSError):
        reply(old_url)
    assert node.dsv4("diff", newer).returncode == 0

    same = envelope(node.dsv4("apply", newer, *SHORT, "--output", "json"))
    assert same["data"]["state"] == "unchanged"  # type: ignore[index]
    assert "at the next boot" in same["data"]["warning"]  # type: ignore[index]
    log = node.dsv4("logs", name, "--last", "--grep", "Application startup")
    assert "Application startup complete" in log.stdout, log.stderr

    assert [(e["number"], e["by"], e["outcome"]) for e in entries(node, name)] == [
        (1, "serve", "healthy"),
        (2, "apply", "healthy"),
    ]
    back = node.dsv4("rollback", name, *SHORT)
    assert back.returncode == 0, back.stderr
    assert reply(old_url) == "first"
    forth = node.dsv4("rollback", name, "2", *SHORT)
    assert forth.returncode == 0, forth.stderr
    assert reply(f"http://127.0.0.1:{port}") == "second"
    assert [e["by"] for e in entries(node, name)][2:] == ["rollback to 1", "rollback to 2"]
    missing = node.dsv4("rollback", name, "99", *SHORT)
    assert (missing.returncode, "no entry 99" in missing.stderr) == (5, True)


def test_what_fails_is_rolled_back_and_what_fails_early_changes_nothing(node: Node) -> None:
    config = served(node)
    name, url = name_of(config), url_of(config)
    before = identity(node, name)

    nowhere = changed(config, container={"image": "127.0.0.1:1/no/such:1"})
    done = node.dsv4("apply", nowhere, *SHORT, "--output", "json")
    assert done.returncode == 6, done.stdout
    assert identity(node, name) == before, "what cannot be pulled must not cost the service"

    crashing = changed(config, env={"STANDIN_CRASH_AFTER_S": "1", "STANDIN_READY_AFTER_S": "60"})
    done = node.dsv4("apply", crashing, *SHORT, "--output", "json")
    assert done.returncode == 7, done.stdout
    assert codes(done)[0] == "server-died"
    assert codes(done)[-1] == "rolled-back"
    assert reply(url) == "first"
    assert node.dsv4("status", name, "--check").returncode == 0

    # The stand-in knows no tools: the whole suite finds that.
    wrong = changed(config, env={"STANDIN_REPLY": "wrong"})
    done = node.dsv4("apply", wrong, "--yes", "--output", "json")
    assert done.returncode == 8, done.stdout
    assert codes(done)[-1] == "rolled-back"
    assert reply(url) == "first"
    told = [(e["by"], e["outcome"]) for e in entries(node, name)]
    assert told == [
        ("serve", "healthy"),
        ("apply", "failed"),
        ("apply, rolled back", "healthy"),
        ("apply", "failed"),
        ("apply, rolled back", "healthy"),
    ]
    assert "server-died" not in str(entries(node, name)[1]["why"])
    assert str(entries(node, name)[1]["why"]).startswith(f"{name} ended")


def test_ctrl_c_while_the_new_one_starts_brings_the_old_one_back(node: Node) -> None:
    config = served(node)
    name, url = name_of(config), url_of(config)
    slow = changed(config, env={"STANDIN_READY_AFTER_S": "60", "STANDIN_REPLY": "second"})
    applying = node.start("apply", slow, *SHORT)
    assert applying.stderr
    until(lambda: "Launching" in applying.stderr.readline(), "the new one is launched")
    until(lambda: node.state(name) == "running", "the new one runs")
    applying.send_signal(signal.SIGINT)
    _, err = applying.communicate(timeout=150)
    assert (applying.returncode, "Rolled back" in err) == (130, True), err
    assert reply(url) == "first"


def test_what_ended_on_the_other_target_makes_room_and_its_log_is_kept(node: Node, tmp_path: Path) -> None:
    config = node.config(standin={"READY_AFTER_S": "0.3"})
    for box in boxes(tmp_path, make_home(tmp_path / "home")):
        box.name = name_of(config)
        box.write()
        died = box.serve("--detach", STANDIN_CRASH_AFTER_S="0", STANDIN_LAST_LINES="RuntimeError: it ended natively")
        assert died.returncode == 0, died.stderr
        box.wait_for("failed")
        place = {"DSV4_STATE_DIR": str(box.state)}
        done = node.dsv4("apply", config, *SHORT, env=place)
        assert done.returncode == 0, done.stderr
        assert not box.folder_of_service.exists()
        (log,) = (box.state / "logs" / box.name).glob("*.log")
        assert "it ended natively" in log.read_text()
        assert node.dsv4("stop", box.name, env=place).returncode == 0


def test_nothing_runs_is_a_launch_and_a_colleague_sees_it(node: Node) -> None:
    config = node.config(standin={"READY_AFTER_S": "0.3"})
    name = name_of(config)
    done = envelope(node.dsv4("apply", config, *SHORT, "--output", "json"))
    assert done["data"]["state"] == "served"  # type: ignore[index]
    socket = node.env["DOCKER_HOST"].removeprefix("unix://")
    if os.geteuid() == 0:
        group = Path(socket).stat().st_gid
        read = subprocess.run(
            [sys.executable, "-c", AS_COLLEAGUE, str(group), "54321", "history", name, "--output", "json"],
            env={**node.env, "HOME": "/nonexistent", "DSV4_STATE_DIR": "/nonexistent/state"},
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert read.returncode == 0, read.stdout + read.stderr
        (entry,) = json.loads(read.stdout)["data"]["entries"]
        assert (entry["outcome"], entry["by"], entry["config"]["name"]) == ("healthy", "apply", name)
    stopped = envelope(node.dsv4("stop", name, "--output", "json"))
    log = Path(str(stopped["data"]["log"]))  # type: ignore[index]
    assert log.stat().st_mode & 0o777 == 0o600
    assert "Application startup complete" in log.read_text()
    back = node.dsv4("rollback", name, *SHORT)
    assert back.returncode == 0, back.stderr
    assert node.dsv4("stop", name, "--no-save-log", "--output", "json").stdout.count('"log": null') == 1
