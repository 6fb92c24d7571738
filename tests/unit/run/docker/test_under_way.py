"""Launches whose container is not there yet, by the command lines of their `docker run`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from doubles import service

from dsv4_launch.run.docker import service as docker_service
from dsv4_launch.run.docker.service import DockerDriver
from dsv4_launch.run.docker.under_way import under_way
from dsv4_launch.run.service import Seen

RUNNING = json.loads((Path(__file__).parents[3] / "recorded/docker/inspect-running.json").read_text())[0]
STAT = "{pid} (docker) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 99 0 0"


def proc(folder: Path, *commands: list[str]) -> Path:
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text("boot-1\n")
    (folder / "stat").write_text("cpu 1\nbtime 1700000000\n")
    for pid, words in enumerate(commands, 10):
        (folder / str(pid)).mkdir()
        (folder / str(pid) / "stat").write_text(STAT.format(pid=pid))
        (folder / str(pid) / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    return folder


def test_a_docker_run_of_ours_tells_what_it_is_about_to_make(tmp_path: Path) -> None:
    labels = ["--label", "dsv4.name=x", "--label", "dsv4.digest=d1", "--label", "dsv4.user=u"]
    labels += ["--label", 'dsv4.config={"name": "x"}']
    found = under_way(
        proc(
            tmp_path,
            ["/usr/bin/docker", "run", "--detach", "--name", "x", *labels, "image", "--port", "8000"],
            ["docker", "run", "--label", "other=y", "image"],
            ["docker", "ps", "--filter", "label=dsv4.name=z"],
            ["sh", "-c", "docker run --label dsv4.name=w image"],
            [],
        )
    )
    assert list(found) == ["x"]
    one = found["x"]
    assert (one.life, one.target, one.digest, one.user, one.config) == ("created", "docker", "d1", "u", {"name": "x"})
    assert (one.created[:10], one.foreign) == ("2023-11-14", False)


class Engine:
    """Has the container from the n-th look on."""

    def __init__(self, after: int) -> None:
        self.after, self.calls, self.api = after, list[str](), self

    def inspect_container(self, _name: str) -> Any:
        self.after -= 1
        if self.after >= 0:
            raise docker.errors.NotFound("404")
        return RUNNING

    def containers(self, **_: object) -> list[dict[str, str]]:
        return [{"Id": RUNNING["Id"]}] if self.after <= 0 else []

    def top(self, _name: str, ps_args: str) -> dict[str, object]:
        return {"Processes": None}

    def stop(self, name: str, timeout: int) -> None:
        if self.after > 0:
            raise docker.errors.NotFound("404")
        self.calls.append(f"stop {name}")


def launched(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    left = [looks]

    def told() -> dict[str, Seen]:
        left[0] -= 1
        return {"rec-a": service(name="rec-a", life="created")} if left[0] >= 0 else {}

    monkeypatch.setattr(docker_service, "under_way", told)
    monkeypatch.setattr(docker_service, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _s: None))


@pytest.mark.parametrize(("after", "life"), [(0, "running"), (1, "running"), (9, "created")])
def test_it_is_found_before_its_container_is_there(monkeypatch: pytest.MonkeyPatch, after: int, life: str) -> None:
    engine = Engine(after)
    launched(monkeypatch, 1)
    found = DockerDriver(lambda: engine).find("rec-a")
    assert found is not None
    assert found.life == life
    assert [one.life for one in DockerDriver(lambda: Engine(after)).all()] == (["running"] if after == 0 else [])
    launched(monkeypatch, 1)
    assert [one.life for one in DockerDriver(lambda: Engine(after)).all()] == ["running" if after == 0 else "created"]


def test_a_launch_that_is_over_between_two_looks_is_no_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 0)
    found = DockerDriver(lambda: Engine(1)).find("rec-a")
    assert found is not None
    assert found.life == "running"
    assert DockerDriver(lambda: Engine(2)).find("rec-a") is None


def test_stop_waits_for_what_is_about_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(4)
    launched(monkeypatch, 9)
    DockerDriver(lambda: engine).stop("rec-a", 3)
    assert engine.calls == ["stop rec-a"]
    launched(monkeypatch, 2)  # it could not be made
    engine = Engine(9)
    DockerDriver(lambda: engine).stop("rec-a", 3)
    assert engine.calls == []
