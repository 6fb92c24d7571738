"""Containers as the engine told them (recorded), as services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsv4_launch.cli.configs import load_config
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.run.claim import over
from dsv4_launch.run.docker.seen import seen
from dsv4_launch.run.docker.service import _id
from dsv4_launch.run.start.failure import ending
from dsv4_launch.targets import render

RECORDED = Path(__file__).parents[3] / "recorded" / "docker"


def inspected(name: str) -> dict[str, Any]:
    (data,) = json.loads((RECORDED / f"inspect-{name}.json").read_text())
    return dict(data)


def test_a_running_container_tells_what_was_launched() -> None:
    found = seen(inspected("running"))
    assert (found.name, found.life, found.exit_code, found.finished) == ("rec-a", "running", None, "")
    assert (found.digest, found.user, found.image) == ("0123456789abcdef", "root", "dsv4-standin:latest")
    assert found.config == {"name": "rec-a", "server": {"port": 18444}}
    assert found.base_url == "http://127.0.0.1:18444"
    assert found.started.startswith("20")
    assert not found.foreign
    assert not over(found)


def test_one_that_was_started_again_tells_when_it_had_ended() -> None:
    data = inspected("running")
    assert seen(data).ended_before == ""
    data["State"]["FinishedAt"] = "2026-11-23T17:00:00.123456789Z"
    assert seen(data).ended_before == "2026-11-23T17:00:00.123456789Z"


def test_how_a_container_ended() -> None:
    stopped, killed, oom = (seen(inspected(name)) for name in ("stopped", "killed", "out-of-memory"))
    assert [one.stopped for one in (stopped, killed, oom)] == [True, False, False]
    assert (killed.exit_code, oom.out_of_memory) == (137, True)
    assert "SIGKILL" in ending(killed)
    assert "memory" in ending(oom)


def test_a_container_that_could_not_start_is_over_and_says_why() -> None:
    found = seen(inspected("not-started"))
    assert (found.life, found.foreign) == ("created", True)
    assert "address already in use" in ending(found)
    assert over(found)


@pytest.mark.parametrize("text", ["", "not json", "[1]", '"x"'])
def test_a_damaged_label_is_no_config(text: str) -> None:
    data = inspected("running")
    data["Config"]["Labels"]["dsv4.config"] = text
    assert seen(data).config == {}


def test_no_labels_at_all() -> None:
    data = inspected("running")
    data["Config"]["Labels"] = None
    assert seen(data).foreign


@pytest.mark.parametrize(
    ("host", "url"),
    [("", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"),
     ("10.1.2.3", "http://10.1.2.3:8000")],
)  # fmt: skip
def test_where_a_client_of_this_machine_reaches_it(host: str, url: str) -> None:
    data = inspected("running")
    data["HostConfig"]["PortBindings"] = {"8000/tcp": [{"HostIp": host, "HostPort": "8000"}]}
    assert seen(data).base_url == url


def test_a_server_in_the_hosts_network_listens_where_its_words_say() -> None:
    plan = resolve(load_config("flash-b200", ["container.network=host", "server.host=0.0.0.0", "server.port=8123"]))
    words = [*map(str, render(plan).command.argv)]
    data = inspected("running")
    data["HostConfig"] |= {"NetworkMode": "host", "PortBindings": {}}
    data["Config"]["Cmd"] = words[words.index(plan.container.image) + 1 :]
    assert seen(data).base_url == plan.base_url == "http://127.0.0.1:8123"
    for cmd in (None, [], ["model", "--port"]):
        data["Config"]["Cmd"] = cmd
        assert seen(data).base_url == ""


def test_the_id_is_found_only_where_one_was_printed() -> None:
    assert _id("a" * 64 + "\n") == "a" * 64
    assert _id("WARNING: x\n" + "0" * 64) == "0" * 64
    assert _id("") == _id("rec-a") == _id("z" * 64) == ""
