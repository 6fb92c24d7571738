"""What a sweep leaves at its end: the report, or why there is none; or, interrupted, the commands that go on."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsv4_launch.run.bench import store
from e2e.bench_box import DRAWN, DSV4, QUICK, STANDIN, Bench, Calibrated, benches
from e2e.conftest import until

SMALL = ("--input-len", "16", "--output-len", "4", "--requests-per-concurrency", "2", "--warmup", "0")
FIRST_FOUR = {"itl.svg", "ttft.svg", "scaling.svg", "frontier.svg"}
# The engine that draws reserves more than this, and ends its process when it may not.
TOO_LITTLE_KIB = 3 * 2**20


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from benches(tmp_path)


@pytest.fixture(scope="module")
def steady() -> Iterator[Calibrated]:
    server = Calibrated("--ttft-ms", "10", "--itl-ms", "2")
    yield server
    server.stop()


def words(server: Calibrated, *more: str, concurrency: str = "1,2") -> tuple[str, ...]:
    return ("--url", server.url, "--dir", "run", *SMALL, "--concurrency", concurrency, *more)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def package(folder: Path, text: str) -> dict[str, str]:
    """An environment whose package that draws is this module."""
    folder.mkdir()
    (folder / "vl_convert.py").write_text(text)
    return {"PYTHONPATH": os.pathsep.join((str(STANDIN / "quick"), str(folder)))}


def test_a_sweep_ends_in_its_report(bench: Bench, steady: Calibrated) -> None:
    done = bench.run(*words(steady, *DRAWN))
    assert done.returncode == 0, done.stderr
    assert names(bench.folder / "run/report") >= {"report.html", "report.md", "points.csv"} | FIRST_FOUR
    assert re.search(
        r"^Report: run/report/report.html \(report.md, points.csv, \d+ charts as SVG beside", done.stdout, re.M
    )
    assert done.stdout.endswith("Results: run\n")
    assert "](itl.svg)" in (bench.folder / "run/report/report.md").read_text()
    # Taken up when nothing is left, it is drawn again; a script gets its files.
    (bench.folder / "run/report/report.html").unlink()
    again = bench.run("--resume", "run", *DRAWN, "--output", "json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)["data"]["report"]
    assert (report["why"], report["files"][0]) == ("", "run/report/report.html")
    assert {Path(name).name for name in report["files"]} == names(bench.folder / "run/report")


def test_without_a_report_none_is_drawn(bench: Bench, steady: Calibrated) -> None:
    done = bench.run(*words(steady, *QUICK, "--output", "json", concurrency="1"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["report"] is None
    assert names(bench.folder / "run") == {"run.json", "points", ".lock"}


def test_without_the_extra_tables_are_written_and_what_is_missing_is_said(bench: Bench, steady: Calibrated) -> None:
    env = package(bench.folder / "none", "raise ImportError('not here')")
    done = bench.run(*words(steady, *DRAWN, concurrency="1"), **env)
    assert done.returncode == 0, done.stderr
    assert names(bench.folder / "run/report") == {"report.md", "points.csv"}
    assert "charts could not be drawn: Charts need the package vl-convert-python" in done.stderr
    assert "Report: run/report/report.md (points.csv beside it)" in done.stdout
    assert "`dsv4 bench report run` draws them" in done.stdout


def test_an_engine_that_ends_its_process_takes_no_sweep_with_it(bench: Bench, steady: Calibrated) -> None:
    command = [DSV4, "bench", "run", *words(steady, *DRAWN, concurrency="1")]
    done = subprocess.run(
        ["sh", "-c", f'ulimit -v {TOO_LITTLE_KIB}; exec "$@"', "sh", *command],
        cwd=bench.folder, env=bench.env(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"charts could not be drawn: what draws it was ended by SIG\w+: memory is short", done.stderr)
    assert "Report: run/report/report.md" in done.stdout
    assert store.load(bench.folder / "run").run.state == "complete"


def test_a_report_that_cannot_be_written_is_said_and_the_sweep_is_done(bench: Bench, steady: Calibrated) -> None:
    (bench.folder / "run").mkdir()
    (bench.folder / "run/report").write_text("in the way")
    done = bench.run(*words(steady, *DRAWN, concurrency="1"))
    assert done.returncode == 0, done.stderr
    assert "it could not be written: The report cannot be written: File exists." in done.stderr
    assert "Report:" not in done.stdout
    assert "Results: run; `dsv4 bench report run` draws them." in done.stdout


def test_the_commands_that_an_interrupted_sweep_names_go_on_and_draw(bench: Bench) -> None:
    # Two requests at a time: the second point takes its time.
    server = bench.server("--ttft-ms", "300", "--itl-ms", "1", "--slots", "2", "--key", "k-7d1f")
    asked = words(server, *DRAWN, "--key-env", "MY_KEY", concurrency="1,128")
    process = bench.start(asked, MY_KEY="k-7d1f")
    until(lambda: list((bench.folder / "run").glob("points/*.side.json")), "the first point")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 130, err
    assert "Interrupted; 1 of 2 points measured and kept." in err
    go_on, draw = (shlex.split(command) for command in re.findall("`([^`]+)`", err))
    assert draw == ["dsv4", "bench", "report", "run"]
    assert (go_on[:3], go_on[go_on.index("--key-env") + 1]) == (["dsv4", "bench", "run"], "MY_KEY")
    drawn = subprocess.run(
        [DSV4, *draw[1:], "--format", "md"],
        cwd=bench.folder, env=bench.env(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert drawn.returncode == 0, drawn.stderr
    assert "Not measured yet: 1 of 2 planned points." in (bench.folder / "run/report/report.md").read_text()
    # The rest would take long: that it is begun where it had ended is what the command is for.
    process = bench.start([*go_on[3:], "--no-report"], MY_KEY="k-7d1f")
    seen = server.truth()["started"]
    until(lambda: process.poll() is not None or server.truth()["started"] > seen, "requests of the second point")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 130, err
    assert "1 point to measure, 1 measured before" in err


def test_a_run_is_taken_up_with_the_server_that_it_names(bench: Bench, steady: Calibrated) -> None:
    done = bench.run(*words(steady, *QUICK, concurrency="1"))
    assert done.returncode == 0, done.stderr
    (bench.folder / "run/points/c0001-r1.side.json").unlink()
    done = bench.run("--resume", "run", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "1 point to measure" in done.stderr


def test_ctrl_c_while_the_report_is_drawn_keeps_the_run(bench: Bench, steady: Calibrated) -> None:
    begun = bench.folder / "begun"
    env = package(bench.folder / "slow", f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(600)\n")
    process = bench.start(words(steady, *DRAWN, concurrency="1"), **env)
    until(begun.exists, "the drawing")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 130, err
    assert "`dsv4 bench report run` draws it." in err
    assert store.load(bench.folder / "run").run.state == "complete"
