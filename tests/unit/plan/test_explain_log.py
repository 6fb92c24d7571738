"""Which advisories a log shows."""

from __future__ import annotations

import pytest

from dsv4_launch.plan.explain_log import explain_log

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 130.00 MiB."


@pytest.mark.parametrize(
    ("lines", "want"),
    [
        ([OOM], ["D69"]),
        ([OOM, '  File "x.py", line 7, in forward', "    self.wq_b(q)"], ["D25", "D69"]),
        (['  File "x.py", line 7, in capture_model', OOM], ["D24", "D69"]),
        (["AssertionError: DeepseekV4 only supports fp8 kv-cache format for now, got auto"], ["D04"]),
        (["ValueError: To serve at least one request with the models's max seq len (1048576), 30 GiB KV"], ["D22"]),
        (["ValueError: To serve at least one request with the model's max seq len (1048576), 30 GiB KV"], ["D22"]),
        (["RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized"], ["D44"]),
        (["OSError: [Errno 98] Address already in use"], ["D82"]),
        (["OSError: [Errno 28] No space left on device: '/root/.cache'"], ["D73"]),
        (["[1234.5] NVRM: Xid (PCI:0000:19:00): 79, pid=1, GPU has fallen off the bus."], ["D67"]),
        (["[1234.5] NVRM: Xid (PCI:0000:19:00): 79, pid=1"], ["D67"]),
        (["[1234.5] NVRM: Xid (PCI:0000:19:00): 13, pid=1"], []),
        (["torch.distributed.DistBackendError: NCCL error in: x.cpp:81, unhandled cuda error"], ["D85"]),
        (["WARNING This can cause fd limit errors like `OSError: [Errno 24] Too many open files`."], []),
        (["OSError: [Errno 24] Too many open files: '/dev/shm/x'"], ["D87"]),
        # Waiting is noise beside a cause, and told when there is none.
        (["No available shared memory broadcast block found in 60 seconds.", OOM], ["D69", "D28"]),
        ([], []),
    ],
)
def test_a_log_is_explained_most_specific_first(lines, want):
    assert [match.advisory.id for match in explain_log(lines)] == want


def test_a_match_names_its_line():
    (match,) = explain_log(["fine", "fine too", "x: Address already in use", "the end"])
    assert (match.line, match.text) == (3, "x: Address already in use")


@pytest.mark.parametrize(
    "line",
    [
        "error: unrecognized arguments: --api-key CANARY123456",
        "non-default args: {'api_key': ['CANARY123456']} error: unrecognized arguments",
        "401 Client Error: Authorization: Bearer CANARY123456",
        "error: unrecognized arguments: hf_CANARY123456789012345",
    ],
)
def test_evidence_repeats_no_secret(line):
    (match,) = explain_log([line + " " + "x" * 1000])
    assert "CANARY" not in match.text
    assert "***" in match.text
    assert len(match.text) <= 400


def test_lines_are_counted_over_chunks():
    (match,) = explain_log(["y" * 1000] * 5000 + ["Address already in use"])
    assert match.line == 5001


def test_the_release_that_a_log_names_decides_what_is_known_there():
    line = "INFO [kv_cache_utils.py:1711] GPU KV cache size: 114,336 tokens"
    banner = "INFO [core.py:110] Initializing a V1 LLM engine (v{}) with config: model='x'"
    assert [m.advisory.id for m in explain_log([banner.format("0.20.0"), line])] == ["D21"]
    assert explain_log([banner.format("0.20.1"), line]) == ()
    assert explain_log([line]) == ()
    assert [m.advisory.id for m in explain_log([line], version="0.20.0")] == ["D21"]


def test_what_is_known_for_another_release_comes_behind_and_says_so():
    line = "AssertionError: DeepseekV4 only supports fp8 kv-cache format for now, got auto"
    (match,) = explain_log([line], version="0.33.0")
    assert match.advisory.id == "D04"
    assert not match.known_here
    (match,) = explain_log([line], version="0.20.0", gpu="b200")
    assert match.known_here


@pytest.mark.parametrize(
    "junk", ["ptxas " * 200_000, "\x1b[31m\x00" * 200_000, "a" * 2_000_000, "NVRM: Xid " * 100_000]
)
def test_a_hostile_line_costs_little(junk):
    # pytest's own timeout is the judge: a pattern that backtracks would not end.
    explain_log([junk] * 3)
