"""The kernel's errors of one service's life: by the stamps of its log, and None where nobody may look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsv4_launch.host import kernel_since

# Booted at 1000 s, now at 3000 s: records are stamped from the boot on, in microseconds.
RECORDS = (
    b"6,1,500000000,-;NVRM: Xid (PCI:0000:1b:00): 48, pid=1, before it started\n SUBSYSTEM=pci\n",
    b"6,2,1500000000,-;NVRM: Xid (PCI:0000:1b:00): 79, pid=2, GPU has fallen off the bus.\n",
    b"6,3,1600000000,-;something else\n",
    b"nonsense without fields",
)


def errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: str) -> list[int]:
    records = iter(RECORDS)
    uptime = tmp_path / "uptime"
    uptime.write_text("2000.00 1.00\n")
    monkeypatch.setattr(os, "open", lambda *_: 99)
    monkeypatch.setattr(os, "close", lambda _: None)
    monkeypatch.setattr(os, "read", lambda *_: next(records, b""))
    found = kernel_since.errors_since(started, Path("kmsg"), uptime, now=3000.0)
    monkeypatch.undo()
    assert found is not None
    return [error.number for error in found]


def test_only_errors_since_the_start_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # 1970-01-01T00:40 is 2400 s: 1400 s after the boot. Docker writes nanoseconds.
    assert errors(monkeypatch, tmp_path, "1970-01-01T00:40:00.123456789Z") == [79]
    assert errors(monkeypatch, tmp_path, "1970-01-01T00:10:00Z") == [48, 79]
    for unknown in ("", "yesterday"):
        assert errors(monkeypatch, tmp_path, unknown) == [48, 79]


def test_where_no_log_may_be_read_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError("journalctl")

    monkeypatch.setattr(kernel_since.subprocess, "run", gone)
    uptime = tmp_path / "uptime"
    uptime.write_text("2000.00 1.00\n")
    assert kernel_since.errors_since("", tmp_path / "none", uptime) is None
