"""`dsv4 bench run` against a calibrated server: figures, verdicts, and every way in which it can end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsv4_launch.bench.results import dump
from dsv4_launch.run.bench import store
from e2e.bench_box import QUICK, Bench, Calibrated, benches, old_python
from e2e.conftest import until

SMALL = ("--input-len", "16", "--output-len", "8", "--requests-per-concurrency", "4", "--warmup", "1")
# For what is interrupted: it does not come to its end before that.
LONG = ("--requests-per-concurrency", "400")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from benches(tmp_path)


@pytest.fixture(scope="module")
def steady() -> Iterator[Calibrated]:
    server = Calibrated("--ttft-ms", "60", "--itl-ms", "15")
    yield server
    server.stop()


def arguments(server: Calibrated, folder: Path, *more: str) -> tuple[str, ...]:
    return ("--url", server.url, "--dir", str(folder), *QUICK, *SMALL, *more)


def keys(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "points").iterdir() if path.name.endswith(".side.json"))


def test_a_sweep_leaves_a_whole_run(bench: Bench, steady: Calibrated) -> None:
    folder = bench.folder / "run"
    done = bench.run(*arguments(steady, folder, "--concurrency", "1,4", "--repeats", "2", "--output", "json"))
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert [point["key"] for point in data["points"]] == ["c0001-r1", "c0004-r1", "c0001-r2", "c0004-r2"]
    found = store.load(folder)
    assert found.run.state == "complete"
    assert found.missing() == ()
    for measured in found.measured:
        point, side = measured.point, measured.side
        assert point is not None
        assert side is not None
        assert point.completed == 4 * point.concurrency
        assert point.ttft is not None
        assert point.ttft.median is not None
        # The stand-in loads from a busy machine: only that it is of this size is judged here.
        assert 55 < point.ttft.median < 10_000
        assert side.client.verdict in ("server", "client")
        assert side.client.lag_p99_ms is not None
        assert side.server is not None
        # No token of the warm-up is among them; those of the first moments are not where the counters are read late.
        assert side.server.generation_tokens is not None
        assert 0 < side.server.generation_tokens <= 8 * point.completed
        assert side.server.ttft_mean_ms is not None
        assert 55 < side.server.ttft_mean_ms < 10_000
    assert {path.name[0] for path in (folder / "points").iterdir()} == {"c"}
    print_ = found.run.fingerprint
    assert print_.cores
    assert (print_.vllm, print_.client_vllm) == ("0.0.0+calibrated", "0.0.0+quick")
    assert print_.dsv4


def test_results_are_those_of_the_client_byte_for_byte(bench: Bench, steady: Calibrated) -> None:
    folder = bench.folder / "run"
    assert bench.run(*arguments(steady, folder, "--concurrency", "2")).returncode == 0
    raw = json.loads((folder / "points/c0002-r1.json").read_text())
    assert raw["seed"] == store.load(folder).run.points[0].seed
    assert set(raw) >= {"duration", "completed", "errors"}


def test_a_server_that_dies_is_told_and_the_sweep_goes_on_with_another(bench: Bench) -> None:
    folder = bench.folder / "run"
    dying = bench.server("--ttft-ms", "20", "--itl-ms", "5", "--die-after", "10")
    done = bench.run(*arguments(dying, folder, "--concurrency", "1,4,8"))
    assert done.returncode == 7, done.stderr
    assert "does not answer any more" in done.stderr
    assert "--resume" in done.stderr
    found = store.load(folder)
    assert found.run.state == "failed"
    assert [m.side.status if m.side else "" for m in found.measured] == ["ok", "interrupted", ""]
    port = dying.url.rpartition(":")[2]
    again = bench.server("--ttft-ms", "20", "--itl-ms", "5", "--port", port)
    first = (folder / "points/c0001-r1.side.json").stat().st_mtime_ns
    done = bench.run("--url", again.url, "--resume", str(folder), *QUICK)
    assert done.returncode == 0, done.stderr
    assert store.load(folder).missing() == ()
    assert (folder / "points/c0001-r1.side.json").stat().st_mtime_ns == first


def test_failed_requests_are_counted_and_stop_the_sweep(bench: Bench) -> None:
    folder = bench.folder / "run"
    failing = bench.server("--ttft-ms", "5", "--itl-ms", "1", "--fail-every", "2")
    done = bench.run(*arguments(failing, folder, "--concurrency", "1,4,8", "--stop-errors", "0.3"))
    assert done.returncode == 0, done.stderr
    found = store.load(folder)
    assert found.run.state == "stopped"
    assert found.points[0].failed > 0
    assert found.measured[0].side is not None
    assert found.measured[0].side.errors == {"Internal Server Error": found.points[0].failed}
    assert "Stopped: at concurrency 1" in done.stdout
    assert keys(folder) == ["c0001-r1.side.json"]


def test_without_one_good_request_it_says_so(bench: Bench) -> None:
    failing = bench.server("--fail-every", "1")
    done = bench.run(*arguments(failing, bench.folder / "run", "--concurrency", "1,2", "--stop-errors", "0"))
    assert done.returncode == 8, done.stderr
    assert "Not one request" in done.stderr
    assert "Internal Server Error" in done.stderr


def test_a_client_that_fails_is_a_failed_tool(bench: Bench, steady: Calibrated) -> None:
    done = bench.run(*arguments(steady, bench.folder / "run", "--concurrency", "1"), QUICK_CRASH="1")
    assert done.returncode == 6, done.stderr
    assert "no such tokenizer" in done.stderr


def test_a_key_goes_by_its_variable_alone(bench: Bench) -> None:
    server = bench.server("--ttft-ms", "5", "--itl-ms", "1", "--key", "s3cret-key-value")
    folder = bench.folder / "run"
    done = bench.run(*arguments(server, folder, "--concurrency", "1"))
    assert done.returncode == 5, done.stderr
    assert "--key-env" in done.stderr
    done = bench.run(*arguments(server, folder, "--concurrency", "1", "--key-env", "MY_KEY"))
    assert done.returncode == 5
    assert "MY_KEY" in done.stderr
    done = bench.run(*arguments(server, folder, "--concurrency", "1", "--key-env", "MY_KEY"), MY_KEY="s3cret-key-value")
    assert done.returncode == 0, done.stderr
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert len(texts) >= 4
    assert not any("s3cret" in text for text in [*texts, done.stdout, done.stderr])


def test_the_load_can_come_from_an_older_python(bench: Bench, steady: Calibrated) -> None:
    python = old_python(bench.folder / "python3.10")
    words = ("--tokenizer", "none", "--no-report", *SMALL, "--concurrency", "1", "--dir", str(bench.folder / "run"))
    done = bench.run("--url", steady.url, "--client-python", str(python), *words)
    assert done.returncode == 0, done.stderr
    assert store.load(bench.folder / "run").run.fingerprint.client_vllm == "0.0.0+quick"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--model", "calibratde"), 2, "Did you mean calibrated?"),
        (("--concurrency", "0"), 2, "from 1"),
        (("--slo", "ttft=fast"), 2, "--slo"),
        (("--stop-on-slo",), 2, "needs limits"),
        (("--total-tokens", "9"), 2, "exclude each other"),
        (("--dataset", "nothing.jsonl", "--input-len", "3"), 2, "--input-len"),
        (("--client-python", "/nowhere/python"), 5, "no such Python"),
        (("--resume", "nowhere"), 2, "leave --dir out"),
    ],
)
def test_bad_words_are_told_before_anything_is_written(
    bench: Bench, steady: Calibrated, words: tuple[str, ...], code: int, said: str
) -> None:
    folder = bench.folder / "run"
    done = bench.run(*arguments(steady, folder, *words))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert not folder.exists()


def test_nobody_there(bench: Bench) -> None:
    done = bench.run("--url", "http://127.0.0.1:9", *QUICK, *SMALL)
    assert done.returncode == 7, done.stderr
    assert "cannot be measured" in done.stderr


def test_other_directories_are_refused(bench: Bench, steady: Calibrated) -> None:
    folder = bench.folder / "run"
    words = arguments(steady, folder, "--concurrency", "1")
    resume = ("--url", steady.url, "--resume", str(folder), *QUICK)
    assert bench.run(*words).returncode == 0
    again = bench.run(*words)
    assert again.returncode == 3
    assert "--resume" in again.stderr
    text = (folder / "run.json").read_text()
    for broken, said in (
        (text[:200], "not whole JSON"),
        (text.replace('"version": 1', '"version": 9', 1), "version 9"),
    ):
        (folder / "run.json").write_text(broken)
        done = bench.run(*resume)
        assert done.returncode == 3, done.stderr
        assert said in done.stderr
    other = store.parse_run(text, "x").model_copy(update={"plan_digest": "0123"})
    (folder / "run.json").write_text(dump(other))
    done = bench.run(*resume)
    assert done.returncode == 3
    assert "plan digest: 0123 then, none now" in done.stderr


def test_a_point_whose_result_is_cut_is_measured_again(bench: Bench, steady: Calibrated) -> None:
    folder = bench.folder / "run"
    assert bench.run(*arguments(steady, folder, "--concurrency", "1,2")).returncode == 0
    result = folder / "points/c0002-r1.json"
    result.write_text(result.read_text()[:50])
    done = bench.run("--url", steady.url, "--resume", str(folder), *QUICK)
    assert done.returncode == 0, done.stderr
    assert "1 point to measure, 1 measured before" in done.stderr
    assert "as it was asked for then, without --rest" in done.stderr
    assert store.load(folder).problems == ()


def test_ctrl_c_ends_the_client_and_keeps_what_was_measured(bench: Bench) -> None:
    server = bench.server("--ttft-ms", "50", "--itl-ms", "200")
    folder = bench.folder / "run"
    process = bench.start(arguments(server, folder, *LONG, "--concurrency", "1,2"))
    until(lambda: server.truth()["tokens"] > 20, "requests of the first point")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 130, err
    assert "--resume" in err
    assert store.load(folder).run.state == "interrupted"
    assert keys(folder) == []
    assert not list((folder / "points").iterdir())
    tokens = server.truth()["started"]
    until(lambda: clients(folder) == [], "no client is left")
    assert server.truth()["started"] == tokens


def clients(folder: Path) -> list[str]:
    """Load generators that work for a run directory."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "bench_client.py" in line and str(folder) in line]


def test_two_cannot_measure_into_one_directory(bench: Bench) -> None:
    server = bench.server("--ttft-ms", "50", "--itl-ms", "200")
    folder = bench.folder / "run"
    first = bench.start(arguments(server, folder, *LONG, "--concurrency", "1"))
    until(lambda: server.truth()["started"] > 0, "the first request")
    second = bench.run("--url", server.url, "--resume", str(folder), *QUICK)
    assert second.returncode == 5, second.stderr
    assert "Another dsv4" in second.stderr
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=150)


def test_killed_at_any_moment_no_point_is_lost_or_doubled(bench: Bench) -> None:
    server = bench.server("--ttft-ms", "20", "--itl-ms", "5")
    folder = bench.folder / "run"
    words: tuple[str, ...] = arguments(server, folder, "--concurrency", "1,2,4", "--repeats", "2")
    kept: dict[str, int] = {}
    for turn in range(20):
        process = bench.start(words)
        seen = server.truth()["started"]
        # Another moment each time: before the first request, within the point, or about its end.
        until(
            lambda p=process, s=seen, n=turn: p.poll() is not None or server.truth()["started"] >= s + (n % 7) * 3,
            "requests",
        )
        os.killpg(process.pid, signal.SIGKILL) if turn % 2 else process.kill()
        process.communicate()
        if (folder / "run.json").exists():
            words = ("--url", server.url, "--resume", str(folder), *QUICK)
            for path in (folder / "points").glob("*.side.json"):
                kept.setdefault(path.name, path.stat().st_mtime_ns)
                store.parse_side(path.read_text(), str(path))
        until(lambda: clients(folder) == [], "a killed bench leaves no client")
    done = bench.run(*words)
    assert done.returncode == 0, done.stderr
    found = store.load(folder)
    assert found.missing() == ()
    assert len(found.points) == 6
    assert len(keys(folder)) == 6
    assert {name: (folder / "points" / name).stat().st_mtime_ns for name in kept} == kept
    assert not [path.name for path in (folder / "points").iterdir() if path.name.startswith(".c")]


def test_the_estimate_is_a_range_and_measures_nothing(bench: Bench, steady: Calibrated) -> None:
    folder = bench.folder / "run"
    done = bench.run(*arguments(steady, folder, "--concurrency", "1,64", "--estimate", "--output", "json"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["data"]
    assert 0 < found["estimate"]["low_s"] <= found["estimate"]["high_s"]
    assert 0.055 < found["probes"][0]["ttft_s"] < 10
    assert not folder.exists()


def test_prompts_of_a_file(bench: Bench, steady: Calibrated) -> None:
    data = bench.folder / "mine.jsonl"
    data.write_text('{"prompt": "Tell me", "output_tokens": 8}\n')
    words = (
        "--url",
        steady.url,
        *QUICK,
        "--dataset",
        str(data),
        "--concurrency",
        "1",
        "--dir",
        str(bench.folder / "r"),
    )
    done = bench.run(*words)
    assert done.returncode == 0, done.stderr
    side = json.loads((bench.folder / "r/points/c0001-r1.side.json").read_text())
    assert "custom" in side["argv"]
    data.write_text('{"prompt": "Tell me", "output_tokens": 9}\n')
    again = bench.run("--url", steady.url, "--resume", str(bench.folder / "r"), *QUICK)
    assert again.returncode == 3
    assert "data set" in again.stderr
