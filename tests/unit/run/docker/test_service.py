"""Which texts are asked of the engine: names and ids of containers, never what would be another path of its API."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from dsv4_launch.run.docker.service import DockerDriver

RECORDED = Path(__file__).parents[3] / "recorded" / "docker"


def engine(asked: list[str]) -> Any:
    (running,) = json.loads((RECORDED / "inspect-running.json").read_text())

    def inspect_container(name: str) -> Any:
        asked.append(name)
        return running

    return SimpleNamespace(api=SimpleNamespace(inspect_container=inspect_container))


@pytest.mark.parametrize("name", ["", ".", "..", "../images/x", "a/../b", "x?all=1", "x\n", "-x", "ä", "\x1b[2J"])
def test_a_text_that_is_no_name_is_not_asked_for(name: str) -> None:
    asked: list[str] = []
    assert DockerDriver(lambda: engine(asked)).find(name) is None
    assert asked == []


def test_a_name_is_found_and_the_beginning_of_an_id_is_none() -> None:
    asked: list[str] = []
    driver = DockerDriver(lambda: engine(asked))
    found = driver.find("rec-a")
    assert found is not None
    assert found.name == "rec-a"
    assert driver.find("rec") is None
    assert set(asked) == {"rec-a", "rec"}


def test_a_container_that_dies_while_it_is_asked_for_its_processes_is_stopped_all_the_same() -> None:
    """The engine answers `top` with null for the processes then, seen of Docker 20.10."""
    asked: list[str] = []
    stopped: list[str] = []
    found = engine(asked)
    found.api.top = lambda _name, ps_args: {"Titles": None, "Processes": None}
    found.api.stop = lambda name, timeout: stopped.append(name)
    DockerDriver(lambda: found).stop("rec-a", 3)
    assert stopped == ["rec-a"]


def test_a_container_whose_removal_is_under_way_is_waited_for() -> None:
    """Its name is free only afterwards: an answer before that would be no removal."""
    found, waited = engine([]), list[tuple[str, str]]()

    def remove(_identity: str, **_: object) -> None:
        raise docker.errors.APIError("409", SimpleNamespace(status_code=409, reason="", url=""), "already in progress")

    found.api.remove_container = remove
    found.api.wait = lambda identity, timeout, condition: waited.append((identity, condition))
    driver = DockerDriver(lambda: found)
    driver.remove("rec-a")
    assert [condition for _, condition in waited] == ["removed"]

    def none(_identity: str, **_: object) -> None:
        raise docker.errors.NotFound("404")

    found.api.wait = none
    driver.remove("rec-a")
