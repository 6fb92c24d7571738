"""`dsv4 bench` and a server that tries to steer the terminal of whoever measures it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.bench_box import QUICK, Bench, benches

# Set the title, clear the screen, colour by a C1 code, rich's markup, a link, backspace, DEL.
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m[red]x[/red][link=http://x]\x1b[31m\b\x7f"
TEXT = "[red]x[/red][link=http://x]"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# What is left of a live table are rich's own codes; none of these is among them.
THEIRS = re.compile("owned\x07|\x1b\\]|\x1b\\[2J|\x9b|\x1b\\[31m|\x7f|\b")
SMALL = ("--input-len", "16", "--output-len", "4", "--requests-per-concurrency", "4", "--warmup", "0")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from benches(tmp_path)


def test_the_live_table_shows_text_as_text(bench: Bench) -> None:
    quick = ("--ttft-ms", "5", "--itl-ms", "1", "--fail-every", "3")
    server = bench.server(*quick, "--reason", HOSTILE, "--model", TEXT, "--version", HOSTILE)
    words = ("--url", server.url, "--dir", "run", *QUICK, *SMALL, "--concurrency", "1,2", "--stop-errors", "0")
    code, out, drawn = bench.run_on_a_terminal(*words)
    assert code == 0, drawn
    assert "TTFT ms" in drawn
    assert not THEIRS.search(drawn)
    # The error is told, with what it holds of brackets.
    assert re.search(r"failed: .*" + re.escape("[red]x[/red][link=http://x]"), drawn)
    assert not CONTROL.search(out)
    run = json.loads((bench.folder / "run/run.json").read_text())
    assert (run["model"], run["state"]) == (TEXT, "complete")
    assert run["fingerprint"]["vllm"] == HOSTILE
    # The same in a log, and on being taken up again.
    done = bench.run("--url", server.url, "--resume", "run", *QUICK)
    assert done.returncode == 0, done.stderr
    assert not CONTROL.search(done.stdout + done.stderr)


def test_what_all_requests_were_told_is_shown_clean(bench: Bench) -> None:
    server = bench.server("--fail-every", "1", "--reason", HOSTILE)
    words = ("--url", server.url, "--dir", "run", *QUICK, *SMALL, "--concurrency", "1", "--stop-errors", "0")
    code, out, drawn = bench.run_on_a_terminal(*words)
    assert (code, out) == (8, "")
    assert "The first requests said: " in drawn
    assert not THEIRS.search(drawn)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        (HOSTILE, 7, "No client can ask for the model's name"),
        ("x" * 70_000, 7, "70000 characters"),
        (f"org/{TEXT}", 2, "Did you mean org/[red]x[/red]"),
    ],
    ids=["escapes", "long", "misspelt"],
)
def test_a_name_that_cannot_be_asked_for_is_refused(bench: Bench, name: str, code: int, said: str) -> None:
    server = bench.server("--model", name)
    asked = ("--model", name[:-1]) if code == 2 else ()
    done = bench.run("--url", server.url, "--dir", "run", *QUICK, *SMALL, *asked)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr) < 1000
    assert not CONTROL.search(done.stdout + done.stderr)
    assert not (bench.folder / "run").exists()
