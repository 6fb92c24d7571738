"""The commands that a run leaves for whoever goes on with it, and what is said of its report."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.unit.bench.runs import run

from dsv4_launch.bench.results import Fingerprint
from dsv4_launch.cli.bench.asked import Asked
from dsv4_launch.cli.bench.benching import again, going_on
from dsv4_launch.cli.bench.ending import told

PLAIN = Asked(lengths=(8, 8))


def test_a_run_without_a_server_on_the_command_line_has_its_own() -> None:
    deployed = run("flash", fingerprint=Fingerprint(target="native"))
    taken = going_on(PLAIN, deployed)
    assert (taken.name, taken.url, taken.target) == ("flash", None, "native")
    bare = run("")
    assert going_on(PLAIN, bare).url == bare.url
    other = Asked(lengths=(8, 8), url="http://127.0.0.1:1")
    assert going_on(other, deployed) == other


def test_the_command_that_goes_on_says_what_the_run_does_not_keep() -> None:
    asked = Asked(lengths=(8, 8), url="http://h:1", key_env="K", tokenizer="a b", client_python="/p", seed=3, note="x")
    assert shlex.split(again(Path("the run"), asked)) == [
        *("dsv4", "bench", "run", "--resume", "the run", "--url", "http://h:1", "--key-env", "K"),
        *("--tokenizer", "a b", "--client-python", "/p"),
    ]
    named = Asked(lengths=(8, 8), name="flash", target="docker")
    assert again(Path("r"), named) == "dsv4 bench run flash --resume r --target docker"


def test_the_page_is_the_file_to_open() -> None:
    files = ["r/report.html", "r/report.md", "r/points.csv", "r/itl.svg", "r/kv.svg"]
    assert told(files) == "r/report.html (report.md, points.csv, 2 charts as SVG beside it)"
    assert told(["r/report.md"]) == "r/report.md"
