"""The real vLLM's verdicts, recorded by scripts/agreement.py, against what depth 1 says of the same command lines."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import agreement  # noqa: E402

FILES = sorted((Path(__file__).parent / "verdicts").glob("mutations-*.jsonl"))
RELEASES = {"0.20.0", "0.25.1", "0.28.0", "0.33.0"}
SAMPLE, SAMPLE_SEED = 60, 7


def judged(file: Path) -> tuple[str, list[tuple[dict[str, Any], bool, bool]]]:
    """The release, and of each verdict the row, whether our parser takes it, and whether we take all of it."""
    head, rows = agreement.read(file)
    found = []
    for row in rows:
        early, later = agreement.ours(row["words"], head["vllm"])
        at_load = bool(later) and not early and all(said.startswith(agreement.AT_LOAD) for said in later)
        found.append((row, not early, not early and (not later or (at_load and row["ok"] is True))))
    return head["vllm"], found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_recorded_verdicts_are_a_measure(file: Path) -> None:
    head, rows = agreement.read(file)
    assert len(rows) >= 1000
    assert len({"\0".join(row["words"]) for row in rows}) == len(rows)
    assert len({flag for row in rows for flag in agreement._flags(row["words"], head["vllm"])}) >= 80
    assert 0.35 <= sum(row["ok"] is True for row in rows) / len(rows) <= 0.65
    assert head["date"]


def test_the_releases_that_are_measured() -> None:
    assert {agreement.read(file)[0]["vllm"] for file in FILES} == RELEASES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_command_line_is_falsely_accepted(file: Path) -> None:
    _, rows = judged(file)
    assert [row["words"] for row, _, ours in rows if row["ok"] is False and ours] == []
    assert [row["words"] for row, parsed, _ in rows if row["ok"] is False and row["stage"] == "parse" and parsed] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_under_one_in_a_hundred_is_falsely_rejected(file: Path) -> None:
    _, rows = judged(file)
    assert sum(row["ok"] is True and not ours for row, _, ours in rows) < 0.01 * len(rows)


def test_a_thousand_verdicts_take_a_second() -> None:
    head, rows = agreement.read(FILES[-1])
    started = time.process_time()
    for row in rows:
        agreement.ours(row["words"], head["vllm"])
    # A slow or busy machine takes longer; ten times as long would be a mistake of ours.
    assert (time.process_time() - started) / len(rows) < 0.01


@pytest.mark.vllm
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_real_vllm_still_says_so(file: Path) -> None:
    head, rows = agreement.read(file)
    source = agreement.CACHE / "src" / head["vllm"]
    python = agreement.CACHE / "venv/bin/python"
    if not source.exists() or not python.exists():
        pytest.skip(f"there is no vLLM {head['vllm']} to ask: scripts/snapshot_flags.py --verify puts it there")
    drawn = random.Random(SAMPLE_SEED).sample(rows, SAMPLE)
    lines = [(row["id"], row["words"]) for row in drawn]
    options = agreement.argparse.Namespace(source=source, python=python)
    for row, answer in zip(drawn, agreement.ask(lines, head["vllm"], options), strict=True):
        assert answer["ok"] is row["ok"], row["words"]
