"""The real vLLM's verdicts, recorded by scripts/agreement.py, against what depth 1 says of the same command lines."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import agreement  # noqa: E402

FILES = sorted((Path(__file__).parent / "verdicts").glob("mutations-*.jsonl"))
RELEASES = {"0.20.0", "0.25.1", "0.28.0", "0.33.0"}
SAMPLE, SAMPLE_SEED, SECONDS, LEAST = 60, 7, 20.0, 15
# Releases that must be asked here: on a CI machine they are brought along.
MUST_ASK = os.environ.get("DSV4_DEEP_ASK", "").split()


# Seeds that were first looked at when the rules stood; what that look showed has been mended since.
UNSEEN = sorted((Path(__file__).parent / "verdicts").glob("unseen-*.jsonl"))


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


@pytest.mark.parametrize("file", FILES + UNSEEN, ids=lambda file: file.stem)
def test_no_command_line_is_falsely_accepted(file: Path) -> None:
    _, rows = judged(file)
    assert [row["words"] for row, _, ours in rows if row["ok"] is False and ours] == []
    assert [row["words"] for row, parsed, _ in rows if row["ok"] is False and row["stage"] == "parse" and parsed] == []


@pytest.mark.parametrize("file", FILES + UNSEEN, ids=lambda file: file.stem)
def test_under_one_in_a_hundred_is_falsely_rejected(file: Path) -> None:
    _, rows = judged(file)
    assert sum(row["ok"] is True and not ours for row, _, ours in rows) < 0.01 * len(rows)


BUILTINS = [
    part
    for file in sorted((Path(__file__).parent / "verdicts").glob("builtins*.jsonl"))
    for part in agreement.read_all(file)
]


@pytest.mark.parametrize(("head", "rows"), BUILTINS, ids=[head["vllm"] for head, _ in BUILTINS])
def test_every_built_in_config_is_judged_as_the_release_judges_it(
    head: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    assert rows
    for row in rows:
        early, later = agreement.ours(row["words"], head["vllm"])
        assert row["ok"] is (not early and not later), (row["id"], row["said"], early, later)


def test_the_built_in_configs_render_as_they_were_judged() -> None:
    """A verdict is about these very words: a config or rule that changes wants new ones (scripts/agreement.py)."""
    for head, rows in BUILTINS:
        made = dict(agreement.builtin(head["vllm"]))
        assert {row["id"]: row["words"] for row in rows} == made, head["vllm"]


@pytest.mark.vllm
@pytest.mark.timeout(500)
@pytest.mark.parametrize("version", sorted(RELEASES))
def test_the_real_vllm_still_says_so(version: str) -> None:
    """A seeded sample, within SECONDS; what DSV4_DEEP_ASK names must be there to be asked."""
    file = Path(__file__).parent / f"verdicts/mutations-{version}.jsonl"
    if agreement.vllm_of(version) is None:
        assert version not in MUST_ASK, f"there is no vLLM {version} to ask; scripts/agreement.py --fetch brings it"
        pytest.skip(f"there is no vLLM {version} to ask: scripts/agreement.py --fetch {version}")
    head, rows = agreement.read(file)
    drawn = random.Random(SAMPLE_SEED).sample(rows, min(SAMPLE, len(rows)))
    lines = [(row["id"], row["words"]) for row in drawn]
    options = agreement.argparse.Namespace(source=None, python=None)
    answers = agreement.ask(lines, head["vllm"], options, within_s=SECONDS)
    assert len(answers) >= LEAST
    for row, answer in zip(drawn, answers, strict=False):
        assert answer["ok"] is row["ok"], row["words"]
