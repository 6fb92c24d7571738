"""What a native service is doing, where its record changes while it is looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dsv4_launch.run.native import look as looking
from dsv4_launch.run.native import service_folder
from dsv4_launch.run.native.service_file import Record
from dsv4_launch.run.processes import Process

GONE = Process(1, 2, "another boot")
RECORD = Record(
    "x", "d1", {}, "ann", ("vllm",), 8000, "", "no", "2026-01-01T00:00:00.000Z", supervisor=GONE, server=GONE
)


@pytest.mark.parametrize("recorded", [True, False])
def test_an_end_that_is_recorded_after_the_record_was_read_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    folder = service_folder.prepare("x", {"DSV4_STATE_DIR": str(tmp_path)})
    running = replace(RECORD, life="running")
    service_folder.write(folder, running)
    alive = looking.processes.alive

    def end(process: Process | None) -> bool:
        if recorded:
            service_folder.write(folder, replace(running, life="exited", exit_code=3, stopped=True))
        return alive(process)

    monkeypatch.setattr(looking.processes, "alive", end)
    found = looking.look(folder)
    assert found is not None
    assert found.life == "exited"
    assert (found.exit_code, found.stopped) == ((3, True) if recorded else (None, False))
    assert ("not seen" in found.error) is not recorded
