#!/usr/bin/env python3
"""Throw broken texts at `dsv4 lint`, `dsv4 lint --batch` and `dsv4 import`: each ends in findings or an error, in time.

    .venv/bin/python scripts/fuzz_lint.py --seconds 120 --seed 1
    .venv/bin/python scripts/fuzz_lint.py --texts 2000 --slowest-s 20   # the same on any machine

Texts are mutations of constructed launches, heaps of shell, YAML and docker pieces, and bytes, of up to a megabyte. The
same seed gives the same texts. Exit 1 with the text (in fuzz-failure.txt) at the first traceback or slow answer.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from pasted import COMPOSE, DOCKERFILE, KUBERNETES, PAGE, SOUND  # noqa: E402, I001

from dsv4_launch.cli.convert.converting import imported_text, problems_of  # noqa: E402
from dsv4_launch.cli.convert.linting import lint_batch  # noqa: E402
from dsv4_launch.cli.convert.repairing import repaired  # noqa: E402
from dsv4_launch.convert.lint.judge import lint  # noqa: E402
from dsv4_launch.errors import InputError  # noqa: E402

KEYS = ["id", "ok", "errors", "warnings", "advisories"]
LAUNCHES = (PAGE, SOUND, COMPOSE, KUBERNETES, DOCKERFILE)
PIECES = (
    *("docker run ", "podman run -it ", "vllm serve ", "python -m vllm.entrypoints.openai.api_server ", "bash -c '"),
    *(
        "'",
        '"',
        "\\",
        "\\\n",
        "\n",
        "\r\n",
        "$X",
        "${A[@]}",
        "$(",
        "`",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "<",
        ">",
        "&",
        "|",
    ),
    *("-e A=b ", "-p 8000:8000 ", "--gpus ", "-v ~/x:/y ", "--", "-", "--kv-cache-dtype fp8 ", "-tp 4 ", "#", ";"),
    *(
        "services:\n  a:\n    image: x\n    command: ",
        "kind: Pod\n",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "? ",
        ": ",
        "FROM x\nCMD [",
    ),
    *(
        "--port ",
        "0",
        "-1",
        "9" * 40,
        "1e999",
        "nan",
        "true",
        "null",
        "“",
        "–",
        "é",
        "\x00",
        "\u2028",
        "\U0001f600",
        "~/",
    ),
    *(
        "--compilation-config ",
        '{"a": ',
        "--config x.yaml ",
        "--speculative_config.",
        "-O3 ",
        "--no-",
        "export A=",
        "=",
    ),
    *("--block-size ", "sudo ", "EOF", "*" * 50, "\t", "."),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, help="go on for so long (120, unless --texts is given)")
    parser.add_argument("--texts", type=int, help="go on for so many texts")
    parser.add_argument("--slowest-s", type=float, default=2.0, help="processor time that an answer may take")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    seconds = options.seconds or (math.inf if options.texts else 120)
    end = time.monotonic() + seconds
    count, slowest = 0, 0.0
    while time.monotonic() < end and count < (options.texts or math.inf):
        text = a_text(chance)
        vllm = chance.choice((None, None, "0.20.0", "0.33.0", "0.1.dev1", "nonsense"))
        gpu = chance.choice((None, "b200", "h200", "cpu"))
        for command in (linted, imported, batched):
            began = time.process_time()
            try:
                command(text, vllm, gpu)
            except InputError:
                pass
            except Exception:
                traceback.print_exc()
                return failed(text, f"{command.__name__}: a traceback (vllm {vllm}, gpu {gpu})")
            took = time.process_time() - began
            if took > options.slowest_s:
                return failed(text, f"{command.__name__}: {took:.1f} s")
            slowest = max(slowest, took)
        count += 1
    print(f"{count} texts, slowest {slowest:.2f} s, seed {options.seed}")
    return 0


def linted(text: str, vllm: str | None, gpu: str | None) -> None:
    """What `dsv4 lint` does with a text."""
    for verdict in lint(text, vllm, gpu):
        repaired(verdict, text)


def imported(text: str, vllm: str | None, gpu: str | None) -> None:
    """What `dsv4 import` does with a text."""
    problems_of(imported_text(text, "text", vllm, gpu)[0])


def batched(text: str, vllm: str | None, gpu: str | None) -> None:
    """What `dsv4 lint --batch` does with a file of lines: one answer for each, whatever it is."""
    rows = [{"id": 1, "text": text, "gpu": gpu}, {"id": 2, "argv": text.split()[:200], "vllm": vllm}, {"id": text[:40]}]
    with tempfile.NamedTemporaryFile("wb", suffix=".jsonl") as file:
        file.write("\n".join([*map(json.dumps, rows), text.replace("\n", " ")]).encode("utf-8", "surrogatepass"))
        file.flush()
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            lint_batch(file.name, None, None)
    answers = [json.loads(line) for line in said.getvalue().splitlines()]
    if any(list(answer) != KEYS for answer in answers) or [a["id"] for a in answers[:2]] != [1, 2]:
        raise AssertionError(said.getvalue()[:1000])


def a_text(chance: random.Random) -> str:
    """The next text."""
    kind = chance.random()
    if kind < 0.55:
        text = chance.choice(LAUNCHES)
        for _ in range(chance.randint(1, 12)):
            at = chance.randrange(len(text) + 1)
            gone = min(len(text), at + chance.randint(0, 40))
            text = text[:at] + chance.choice(PIECES) * chance.randint(0, 3) + text[gone:]
        return text
    if kind < 0.9:
        return "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 120)))
    if kind < 0.97:
        return chance.randbytes(chance.randint(0, 2_000)).decode("utf-8", "replace")
    start = chance.choice((*LAUNCHES, "vllm serve m ", "kind: Pod\nvllm: 1\n", "FROM x\nCMD "))
    some = "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 4)))
    longest = (start + some * (1_000_000 // len(some))).encode("utf-8", "surrogatepass")[:1_000_000]
    return longest.decode("utf-8", "ignore")


def failed(text: str, why: str) -> int:
    """Keep the text and say where."""
    Path("fuzz-failure.txt").write_text(text, "utf-8", "surrogatepass")
    print(f"error: {why}; the text is in fuzz-failure.txt ({len(text):,} characters)", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
