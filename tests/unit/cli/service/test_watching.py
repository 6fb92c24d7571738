"""What a watch starts again, it starts whole: a Ctrl-C meanwhile waits for that."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from dsv4_launch.cli.service.watching import _starter
from dsv4_launch.run.docker.service import DockerDriver
from unit.run.doubles import service


def test_ctrl_c_while_a_hanging_container_is_stopped_and_started_again() -> None:
    done: list[str] = []

    def stop(_name: str, timeout: int) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("stopped")

    api: Any = SimpleNamespace(stop=stop, start=lambda _name: done.append("started"))
    api.inspect_container = lambda name: {"Name": name}
    api.top = lambda _name, ps_args: {"Processes": None}
    start_again = _starter(DockerDriver(lambda: SimpleNamespace(api=api)))
    with pytest.raises(KeyboardInterrupt):
        start_again(service(life="running"))
    assert done == ["stopped", "started"]
