"""`dsv4 bench compare` on runs that were measured: what moved, gates that are crossed or not, what else differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bench.tools.test_files import guidellm

from dsv4_launch.cli.main import main
from e2e.bench_box import QUICK, Bench

SMALL = ("--input-len", "16", "--output-len", "4", "--requests-per-concurrency", "2", "--warmup", "0")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs of a quick server, of one that is far slower and of another release, and of one asked something else."""
    bench = Bench(tmp_path_factory.mktemp("compare"))
    old = bench.server("--ttft-ms", "20", "--itl-ms", "5", "--version", "0.31.0")
    new = bench.server("--ttft-ms", "600", "--itl-ms", "5", "--version", "0.32.0", "--fail-every", "4")
    for name, server, words in (
        ("old", old, ("--repeats", "2")),
        ("new", new, ("--repeats", "2", "--stop-errors", "0", "--concurrency", "2,4")),
        ("longer", old, ("--output-len", "8", "--concurrency", "1")),
    ):
        asked = ("--concurrency", "2,3", *words)
        done = bench.run("--url", server.url, "--dir", str(bench.folder / name), *QUICK, *SMALL, *asked)
        assert done.returncode == 0, done.stderr
        server.stop() if name == "new" else None
    yield bench.folder
    for server in bench.servers:
        server.stop()


@pytest.fixture
def compare(runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Compare in the folder of the runs: exit code, stdout, stderr."""
    monkeypatch.chdir(runs)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["bench", "compare", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def raw(runs: Path, name: str, key: str) -> dict[str, Any]:
    """What the client wrote of a point."""
    data: dict[str, Any] = json.loads((runs / name / "points" / f"{key}.json").read_text())
    return data


def test_deltas_are_those_of_the_raw_results(runs: Path, compare: Run) -> None:
    code, out, _ = compare("old", "new", "--output", "json")
    data = json.loads(out)["data"]
    assert (code, data["before"], data["after"]) == (0, "old", "new")
    deltas = {(delta["metric"], delta["concurrency"]): delta for delta in data["deltas"]}
    assert {concurrency for _, concurrency in deltas} == {2}
    for metric, key in (("ttft_p50", "median_ttft_ms"), ("itl_p95", "p95_itl_ms")):
        means = [sum(raw(runs, name, f"c0002-r{n}")[key] for n in (1, 2)) / 2 for name in ("old", "new")]
        delta = deltas[metric, 2]
        assert [delta["before"], delta["after"]] == pytest.approx(means)
        assert delta["percent"] == pytest.approx(100 * (means[1] - means[0]) / means[0])
        assert delta["interval"]["low"] <= means[1] - means[0] <= delta["interval"]["high"]
    assert deltas["ttft_p50", 2]["before"] < 600 <= deltas["ttft_p50", 2]["after"]
    assert deltas["error_rate", 2]["after"] == pytest.approx(0.25)
    assert any("Only old has concurrency 3" in note for note in data["notes"])
    assert any("Only new has concurrency 4" in note for note in data["notes"])


def test_what_else_differs_is_named(compare: Run) -> None:
    code, out, err = compare("old", "new")
    assert code == 0
    assert "note: vLLM: 0.31.0 -> 0.32.0" in err
    assert out.splitlines()[0] == "old -> new"
    (row,) = [line for line in out.splitlines() if line.startswith("ttft_p50 (ms)")]
    assert "%" in row


@pytest.mark.parametrize(
    ("gates", "crossed"),
    [
        (["ttft_p50>+5%"], ["ttft_p50"]),
        (["ttft_p50>500ms", "error_rate>0.1"], ["ttft_p50", "error_rate", "error_rate"]),
        (["ttft_p50>+5%@2", "output_throughput<-1000000"], ["ttft_p50"]),
        (["ttft_p50>+1000000%"], []),
        (["ttft_p50<-1%"], []),
        (["error_rate>0.9", "ttft_p50>+60000ms"], []),
        (["ttft_p50>+5%@64"], ["ttft_p50"]),  # nothing was measured there: a gate that cannot be held is not met
    ],
)
def test_gates_end_in_exit_10_or_do_not(gates: list[str], crossed: list[str], compare: Run) -> None:
    words = [word for gate in gates for word in ("--fail-on", gate)]
    code, out, err = compare("old", "new", *words)
    assert code == (10 if crossed else 0)
    assert ("error:" in err) == bool(crossed)
    assert out.startswith("old -> new"), "the table is printed in either case"
    code, out, _ = compare("old", "new", *words, "--output", "json")
    envelope = json.loads(out)
    assert envelope["exit_code"] == code == (10 if crossed else 0)
    found = {(one["metric"], one["concurrency"]) for one in envelope["data"]["crossed"]}
    assert {metric for metric, _ in found} == set(crossed)
    assert len(envelope["errors"]) == len(found)


def test_a_fall_is_no_regression(compare: Run) -> None:
    assert compare("new", "old", "--fail-on", "ttft_p50>+5%", "--fail-on", "error_rate>+0.01")[0] == 0


def test_another_workload_is_refused_and_says_in_what(compare: Run) -> None:
    code, out, err = compare("old", "longer")
    assert (code, out) == (4, "")
    assert "workload.output_len: 4 -> 8" in err
    assert "--force" in err
    code, out, err = compare("old", "longer", "--force")
    assert code == 0
    assert "warning: workload.output_len: 4 -> 8" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("old", "nowhere"), 3, "There is no such file or directory"),
        (("old", "new", "--fail-on", "ttfft_p50>+5%"), 2, "'ttft_p50' is"),
        (("old", "new", "--fail-on", "ttft_p50>5%"), 2, "a percentage is a change"),
    ],
)
def test_what_cannot_be_compared_is_told(words: tuple[str, ...], code: int, said: str, compare: Run) -> None:
    found = compare(*words)
    assert found[0] == code
    assert said in found[2]


def test_a_file_without_a_fingerprint_is_compared_and_that_is_said(compare: Run, tmp_path: Path) -> None:
    other = tmp_path / "benchmarks.json"
    other.write_text(json.dumps(guidellm(2)))
    code, out, err = compare("old", str(other))
    assert code == 0
    assert "no fingerprint is in guidellm" in err
    assert "ttft_p50 (ms)" in out


def test_the_report_of_both_has_the_comparison(compare: Run, tmp_path: Path) -> None:
    code, _, _ = compare(
        "old", "new", "--fail-on", "ttft_p50>+5%", "--out", str(tmp_path / "out"), "--format", "html,md"
    )
    assert code == 10
    page = (tmp_path / "out/report.html").read_text()
    assert "Gates that were crossed" in page
    assert "0.31.0" in page
    assert "0.32.0" in page
