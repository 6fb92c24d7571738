"""Unit tests never touch the world: processes, sockets and sleeping raise."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest


class TouchedTheWorld(AssertionError):
    """A unit test did something that belongs to the end-to-end tests."""


@pytest.fixture(autouse=True)
def _no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(what: str):
        def raise_(*_args, **_kwargs):
            raise TouchedTheWorld(f"a unit test used {what}")

        return raise_

    monkeypatch.setattr(subprocess, "Popen", refuse("subprocess"))
    monkeypatch.setattr(socket.socket, "connect", refuse("a socket"))
    monkeypatch.setattr(socket.socket, "bind", refuse("a socket"))
    monkeypatch.setattr(time, "sleep", refuse("sleep"))
