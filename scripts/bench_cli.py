#!/usr/bin/env python3
"""How long the command line takes, against what it cannot be faster than; printed as a table.

    .venv/bin/python scripts/bench_cli.py            # 15 pairs a row, about a minute
    .venv/bin/python scripts/bench_cli.py --pairs 40

A cold start is compared with a bare interpreter that only imports pydantic and typer. Both of them import most of
theirs when it is used: the first row is the least that a typer command takes. Each command and the bare interpreter run
in turns, and medians are compared, so that other work on the machine weighs on both. "CPU" is user and system time of
the process: on a busy machine the better number. Command lines, a flag table and the wheel are measured in the same
run. Needs the environment that ./scripts/test or ./scripts/quickstart makes.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from pasted import SOUND  # noqa: E402

PYTHON = ROOT / ".venv" / "bin" / "python"
DSV4 = ROOT / ".venv" / "bin" / "dsv4"
CONFIG = ROOT / "configs" / "flash-b200.yaml"
BARE = [str(PYTHON), "-c", "import pydantic, typer"]
LEAST = """
import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
@app.command()
def say(text: str) -> None:
    print(text)
app()
"""
MOST_RATIO, MOST_S, MANY = 1.5, 2.0, 1000
MOST_LINT_MS, LEAST_RATE, MOST_TABLE_MS, MOST_WHEEL_MB = 200, 1000, 15, 1.5
ARGV = tuple(
    """deepseek-ai/DeepSeek-V4-Flash --kv-cache-dtype fp8 --block-size 256 --tensor-parallel-size 4
    --enable-expert-parallel --max-model-len auto --max-num-batched-tokens 8192 --gpu-memory-utilization 0.90
    --compilation-config {"cudagraph_mode":"FULL_AND_PIECEWISE","custom_ops":["all"]} --tool-call-parser deepseek_v4
    --reasoning-parser deepseek_v4 --tokenizer-mode deepseek_v4 --enable-auto-tool-choice
    --trust-remote-code""".split()  # noqa: SIM905 - a command line is read as one
)


@dataclass(frozen=True)
class Took:
    """One run: seconds by the clock and seconds of CPU."""

    wall_s: float
    cpu_s: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15, help="runs of each command (default 15)")
    parser.add_argument("--no-vllm", action="store_true", help="leave `vllm serve --help` out")
    options = parser.parse_args()
    if not DSV4.exists():
        print(
            "error: there is no .venv/bin/dsv4\nhint: ./scripts/test or ./scripts/quickstart makes it", file=sys.stderr
        )
        return 5
    rows = [("a typer command of one argument", *in_turns([str(PYTHON), "-c", LEAST, "x"], options.pairs), "")]
    rows += [cold_start(words, options.pairs) for words in (["--help"], ["render-cmd"], ["validate", str(CONFIG)])]
    rows += [cold_lint(options.pairs), many_configs(), *in_one_process(), wheel_size()]
    if not options.no_vllm:
        rows += vllm_help()
    show(("what", "median", "CPU", "against", "ratio", "CPU ratio", "aim"), rows)
    return 0


def cold_start(words: list[str], pairs: int) -> tuple[str, ...]:
    """`dsv4 WORDS`, which may take so much longer than the bare interpreter."""
    shown = " ".join(["dsv4", words[0], *(Path(word).name for word in words[1:])])
    row = in_turns([str(DSV4), *words], pairs)
    return (shown, *row, f"≤ {MOST_RATIO}: {'met' if float(row[3]) <= MOST_RATIO else 'missed'}")


def in_turns(ours: list[str], pairs: int) -> tuple[str, ...]:
    """A command and the bare interpreter in turns: the cells of a row from the median on."""
    run(ours), run(BARE)  # byte code and file cache
    took: dict[str, list[Took]] = {"ours": [], "bare": []}
    for n in range(pairs):
        order = [("ours", ours), ("bare", BARE)]
        for name, command in order if n % 2 else reversed(order):
            took[name].append(run(command))
    (wall, cpu), (bare_wall, bare_cpu) = medians(took["ours"]), medians(took["bare"])
    against = f"import pydantic, typer: {bare_wall * 1e3:.0f} ms"
    return (f"{wall * 1e3:.0f} ms", f"{cpu * 1e3:.0f} ms", against, f"{wall / bare_wall:.2f}", f"{cpu / bare_cpu:.2f}")


def cold_lint(pairs: int) -> tuple[str, ...]:
    """`dsv4 lint` of one command, in turns with the bare interpreter; what counts is milliseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(SOUND)
        file.flush()
        row = in_turns([str(DSV4), "lint", file.name], pairs)
    met = "met" if int(row[0].split()[0]) <= MOST_LINT_MS else "missed"
    return ("dsv4 lint, one command", *row, f"≤ {MOST_LINT_MS} ms: {met}")


def in_one_process() -> list[tuple[str, ...]]:
    """Command lines judged in one warm process, and a flag table read from disk; CPU of this process."""
    from dsv4_launch.catalog import flags
    from dsv4_launch.cli.main import COLLECT_AFTER
    from dsv4_launch.convert.lint.judge import lint_argv
    from dsv4_launch.plan.argv.checks import check
    from dsv4_launch.plan.argv.parser import parse

    gc.set_threshold(COLLECT_AFTER)  # as the program does
    releases = ("0.20.0", "0.25.1", "0.28.0", "0.33.0")
    lines = [[*ARGV, "--max-num-seqs", str(n + 1), "--port", str(20_000 + n)] for n in range(MANY)]

    def validated() -> None:
        for n, words in enumerate(lines):
            table = flags.flag_table(releases[n % len(releases)])
            check(parse(words, table), table)

    def linted() -> None:
        for n, words in enumerate(lines):
            lint_argv(words, releases[n % len(releases)], "b200")

    rows = []
    for name, work in (("validated as argv", validated), ("linted as argv", linted)):
        work()
        rate = MANY / min(cpu_of(work) for _ in range(3))
        met = f"≥ {LEAST_RATE:,}/s: {'met' if rate >= LEAST_RATE else 'missed'}"
        rows.append((f"{MANY:,} {name}, warm", "", f"{MANY / rate:.2f} s", f"{rate:,.0f} a second", "", "", met))

    def load_table() -> None:
        flags.flag_table.cache_clear()
        flags._stored.cache_clear()
        flags.flag_table("0.33.0")

    took_ms = min(cpu_of(load_table) for _ in range(20)) * 1e3
    met = f"≤ {MOST_TABLE_MS} ms: {'met' if took_ms <= MOST_TABLE_MS else 'missed'}"
    return [
        *rows,
        ("flag table of 0.33.0, from disk", "", f"{took_ms:.1f} ms", "19 files, one on the other", "", "", met),
    ]


def cpu_of(work: Callable[[], None]) -> float:
    """Seconds of CPU that a piece of work took."""
    began = time.process_time()
    work()
    return time.process_time() - began


def wheel_size() -> tuple[str, ...]:
    """What a wheel holds, packed as a wheel is."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for folder in ("src/dsv4_launch", "configs", "constraints"):
            for path in sorted((ROOT / folder).rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    wheel.write(path, path.relative_to(ROOT))
    size_mb = len(packed.getvalue()) / 1e6
    met = f"≤ {MOST_WHEEL_MB} MB: {'met' if size_mb <= MOST_WHEEL_MB else 'missed'}"
    return ("wheel with all tables", "", "", f"{size_mb:.2f} MB", "", "", met)


def many_configs() -> tuple[str, ...]:
    """`dsv4 validate` on a folder of configs that all differ."""
    text = CONFIG.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for n in range(MANY):
            one = re.sub(r"(?m)^name: .*$", f"name: flash-{n:04}", text)
            one = re.sub(r"(?m)^(  max_num_seqs:) .*$", rf"\1 {n + 1}", one)
            one = re.sub(r"(?m)^(  port:) .*$", rf"\1 {20000 + n}", one)
            (Path(folder) / f"flash-{n:04}.yaml").write_text(one)
        wall, cpu = medians([run([str(DSV4), "validate", folder]) for _ in range(3)])
    met = "met" if wall <= MOST_S else "missed"
    row = (f"dsv4 validate, {MANY:,} configs", f"{wall:.2f} s", f"{cpu:.2f} s")
    return (*row, f"{wall / MANY * 1e3:.2f} ms a config", "", "", f"≤ {MOST_S:.0f} s: {met}")


def vllm_help() -> list[tuple[str, ...]]:
    """`vllm serve --help` of the rehearsal's environment, and how many `dsv4 --help` fit into it; [] when not there."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = Path(os.environ.get("DSV4_REHEARSAL_HOME") or f"{cache}/dsv4/rehearsal")
    vllm = home / "venv" / "bin" / "vllm"
    if not vllm.exists():
        return []
    theirs: list[Took] = []
    ours: list[Took] = []
    run([str(vllm), "serve", "--help"])
    for _ in range(3):
        theirs.append(run([str(vllm), "serve", "--help"]))
        ours.append(run([str(DSV4), "--help"]))
    (wall, cpu), (our_wall, our_cpu) = medians(theirs), medians(ours)
    against = f"dsv4 --help: {our_wall * 1e3:.0f} ms"
    row = ("vllm serve --help (CPU build)", f"{wall:.1f} s", f"{cpu:.1f} s", against)
    return [(*row, f"{wall / our_wall:.0f}", f"{cpu / our_cpu:.0f}", "")]


def run(command: list[str]) -> Took:
    """Run it with nothing to read and nowhere to print. Raises CalledProcessError when it fails."""
    # Without the byte code each run compiles what it imports, which an installed program does once.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started_s = time.perf_counter()
    process = subprocess.Popen(command, env=env, **quiet)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Took(wall_s, used.ru_utime + used.ru_stime)


def medians(took: list[Took]) -> tuple[float, float]:
    return statistics.median(t.wall_s for t in took), statistics.median(t.cpu_s for t in took)


def show(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A Markdown table, which a terminal shows as well."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    for row in (head, tuple("-" * width for width in widths), *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


if __name__ == "__main__":
    sys.exit(main())
