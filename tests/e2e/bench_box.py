"""What the tests of `dsv4 bench` share: a calibrated server, and dsv4 with a client that starts at once."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STANDIN = Path(__file__).parent / "standin"
DSV4 = str(Path(sys.executable).with_name("dsv4"))
DRAWN = ("--client-python", sys.executable, "--tokenizer", "none", "--rest", "0")
# Drawing takes seconds: left to the tests that look at it.
QUICK = (*DRAWN, "--no-report")


class Calibrated:
    """A calibrated server of its own."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(STANDIN / "calibrated.py"), *words], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().split()[-1]}"

    def truth(self) -> dict[str, float]:
        """What the server did."""
        with urllib.request.urlopen(f"{self.url}/truth", timeout=150) as answer:
            found: dict[str, float] = json.load(answer)
        return found

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass
class Bench:
    """`dsv4 bench` in a folder of its own."""

    folder: Path
    servers: list[Calibrated] = field(default_factory=list)

    def server(self, *words: str) -> Calibrated:
        """Start a calibrated server, which ends with the test."""
        self.servers.append(Calibrated(*words))
        return self.servers[-1]

    def env(self, **more: str) -> dict[str, str]:
        """The environment in which Python's vllm is the quick stand-in."""
        return {**os.environ, "PYTHONPATH": str(STANDIN / "quick"), "NO_COLOR": "1", **more}

    def start(self, words: Sequence[str], **env: str) -> subprocess.Popen[str]:
        """`dsv4 bench run …` without waiting for it."""
        return subprocess.Popen(
            [DSV4, "bench", "run", *words],
            env=self.env(**env),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run_on_a_terminal(self, *words: str, timeout_s: float = 150) -> tuple[int, str, str]:
        """`dsv4 bench run …` whose stderr is a terminal, where the live table is: exit code, stdout, what was drawn."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [DSV4, "bench", "run", *words],
            env={**self.env(), "TERM": "xterm-256color", "COLUMNS": "150", "LINES": "40"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        drawn = b""
        with contextlib.suppress(OSError):  # a terminal that nobody holds any more ends in an error
            while data := os.read(ours, 65_536):
                drawn += data
        os.close(ours)
        out, _ = process.communicate(timeout=timeout_s)
        return process.returncode, out.decode(), drawn.decode("utf-8", "replace")

    def run(self, *words: str, timeout_s: float = 240, **env: str) -> subprocess.CompletedProcess[str]:
        """`dsv4 bench run …`, waited for."""
        process = self.start(words, **env)
        out, err = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(list(words), process.returncode, out, err)


def benches(folder: Path) -> Iterator[Bench]:
    """A bench in a folder, whose servers are stopped afterwards, also after a failed test."""
    bench = Bench(folder)
    try:
        yield bench
    finally:
        for server in bench.servers:
            server.stop()


def old_python(path: Path, of: Path | str = sys.executable) -> Path:
    """A Python with the options of 3.10: it does not know -P."""
    path.write_text(f'#!/bin/sh\nif [ "$1" = -P ]; then echo "unknown option -P" >&2; exit 2; fi\nexec {of} "$@"\n')
    path.chmod(0o755)
    return path
