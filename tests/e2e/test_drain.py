"""A stop of real vLLM lets a running request finish, and refuses what comes after."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import until
from e2e.native_box import Box, boxes, real_home
from e2e.streaming import ENGINE_TOLD, Clients, engines, paused

pytestmark = [pytest.mark.timeout(1200), pytest.mark.vllm]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    yield from boxes(tmp_path, real_home())


def test_a_running_stream_finishes_during_a_stop(box: Box) -> None:
    text = box.config.read_text().replace(f'"executable": {json.dumps(str(box.vllm))}, ', "")
    text = text.replace("server: {", 'server: {"served_model_name": "tiny", ')
    box.config.write_text(f"{text}engine: {{shutdown_timeout: 240}}  # a slow machine has its time\n")
    others = engines()
    served = box.serve("--detach")
    assert served.returncode == 0, served.stderr
    box.wait_for("ready", 600)
    clients = Clients(box.port, "tiny")
    clients.flow()
    (engine,) = engines() - others
    log = box.folder_of_service / "server.log"
    with paused(engine):
        stopping = box.start("stop", box.name)
        until(lambda: ENGINE_TOLD in log.read_text(), "the engine is told to end")
    _, err = stopping.communicate(timeout=300)
    assert stopping.returncode == 0, err
    clients.assert_none_was_cut_off()
    assert re.search(r"draining in-flight requests count=[12]\b", box.dsv4("logs", box.name, "--last").stdout)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{box.port}/health", timeout=5)
    box.assert_gone()
