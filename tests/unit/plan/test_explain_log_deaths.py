"""Last words that no wheel's source holds (tests/recorded/deaths.toml), and what follows from a failure and is none."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dsv4_launch.catalog.advisories import advisories
from dsv4_launch.plan.explain_log import explain_log

DEATHS = tomllib.loads((Path(__file__).parents[2] / "recorded/deaths.toml").read_text("utf-8"))["death"]
HEAD = ["(APIServer pid=1) INFO 11-25 16:20:00 [api_server.py:1] vLLM API server version 0.28.0", "INFO fine"]
ALONE = [advisory.id for advisory in advisories() if advisory.alone]
STOPPED = "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above)"
DIED = [
    "(Worker_TP1 pid=99) ERROR 11-25 16:21:00 [multiproc_executor.py:888] WorkerProc failed to start.",
    "[W1125 16:21:00.1 TCPStore.cpp:125] [c10d] recvValue failed: Connection was likely closed.",
    "terminate called after throwing an instance of 'c10::DistBackendError'",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    STOPPED,
]


def shown(*lines: str, gpu: str = "b200") -> list[str]:
    return [match.advisory.id for match in explain_log([*HEAD, *lines, "", "bye"], gpu=gpu)]


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: f"{death['first']}-{death['text'][:50]}")
def test_a_death_is_explained_by_its_cause_first(death: dict[str, str]) -> None:
    assert death["url"].startswith("https://")
    assert shown(*death["text"].splitlines())[:1] == [death["first"]]
    # What a dying server says behind its cause does not hide it.
    if death["first"] not in ALONE:
        assert shown(*death["text"].splitlines(), *DIED)[:1] == [death["first"]]


def test_no_death_is_told_twice() -> None:
    assert len({death["text"] for death in DEATHS}) == len(DEATHS)


def test_what_only_follows_from_a_failure_is_told_only_without_it() -> None:
    assert shown(*DIED) == ["D111", "D112", "D139"]
    assert set(shown(*DIED)) < set(ALONE)
    assert shown("CUDA out of memory", *DIED) == ["D69"]
    assert shown("No available shared memory broadcast block found in 60 seconds", *DIED)[:3] == shown(*DIED), (
        "no failure"
    )


def test_a_check_of_vllm_itself_is_told_where_nothing_else_is() -> None:
    frame = '  File "/usr/lib/python3.12/site-packages/vllm/engine/arg_utils.py", line 1720, in create_engine_config'
    assert shown(frame, "ValueError: a and b cannot be used together") == ["D113"]
    assert shown(frame, "ValueError: Invalid data-parallel launch options: c") == ["D83"]
    fatal = "(EngineCore pid=9) ERROR 11-25 16:21:00 [core.py:1138] EngineCore encountered a fatal error."
    assert shown(fatal, "AssertionError") == ["D138", "D139"]
    assert shown(fatal, "AssertionError", "CUDA error: device-side assert triggered") == ["D74"]


def test_a_quiet_line_hides_no_other_one() -> None:
    quiet = "node7:1:4 [0] NCCL INFO transport/nvls.cc:287 NCCL WARN Duplicate GPU detected"
    assert shown(quiet) == []
    assert shown(quiet, "node7:1:4 [0] init.cc:751 NCCL WARN Duplicate GPU detected : rank 3 and rank 0") == ["D103"]
    assert shown(*[quiet] * 5_000, "Duplicate GPU detected") == ["D103"]
    assert shown("Duplicate GPU detected", quiet) == ["D103"]


def test_an_all_reduce_that_vllm_does_without_is_no_failure() -> None:
    at = "(Worker_TP0 pid=9) WARNING 11-25 16:21:00 [flashinfer_all_reduce.py:116]"
    said = "Failed to initialize FlashInfer All Reduce workspace: Ninja build failed. Ninja output:"
    assert shown(f"{at} {said}", f"{at} ninja: build stopped: subcommand failed.") == []


def test_the_tenth_comes_before_the_hundredth() -> None:
    assert [advisory.number for advisory in advisories()] == list(range(1, len(advisories()) + 1))
    assert shown("toomanyrequests", "Connection refused: Read timed out", "No space left on device") == [
        "D73",
        "D125",
        "D133",
    ]


@pytest.mark.parametrize(
    "line",
    [
        STOPPED,
        "node7:1:4 [0] NCCL INFO Failed to bind NVLink SHARP (NVLS) Multicast memory of size 2097152 : CUDA error 401 "
        "'the operation cannot be performed in the present state'. Proceeding without NVLS support.",
        "node7:1:4 [0] NCCL INFO Call to ibv_modify_qp failed with 110 Connection timed out, on dev mlx5_2:1, "
        "retrying 1/7 after 100 msec of sleep",
        "WARNING 11-25 16:20:00 [envs.py:1818] Unknown vLLM environment variable detected: VLLM_MY_PLUGIN",
        "WARNING 11-25 16:20:00 [cuda.py:1] Hint: the GPU has 8 of compute capability 10.0",
        "INFO 11-25 16:20:00 [launcher.py:1] Route: /health, Methods: GET",
        "[  99.1] nvme nvme2: 32/0/0 default/read/poll queues",
        "omega:5327:5327 [0] NCCL INFO NET/Plugin : dlerror=libnccl-net.so: cannot open shared object file: No such "
        "file or directory No plugin found (libnccl-net.so), using internal implementation",
        "[2025-06-05 10:45:19] paula09:2528:2528 [1] ras/client_support.cc:160 NCCL WARN Call to bind failed: Address "
        "already in use",
        "(Worker_TP0 pid=9) WARNING 11-25 16:00:00 [symm_mem.py:107] SymmMemCommunicator: symmetric memory multicast "
        "operations are not supported.",
        "'(ReadTimeoutError(\"HTTPSConnectionPool(host='huggingface.co', port=443): Read timed out.\"))'"
        " thrown while requesting HEAD https://huggingface.co/x/resolve/main/config.json",
        'WARNING 11-25 16:00:00 [cuda.py:22] Failed to import from vllm._C with ModuleNotFoundError("No module")',
        "zmq.error.Again: Resource temporarily unavailable",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ChatCompletionRequest",
    ],
)
def test_what_a_server_outlives_is_no_death(line: str) -> None:
    assert shown(line) == []
