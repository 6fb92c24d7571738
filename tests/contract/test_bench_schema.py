"""The published schema of a run directory is that of the code, and real runs keep it."""

import json
from pathlib import Path

import pytest

from dsv4_launch.bench.results import FORMAT, schema

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "bench-run.schema.json"
RUNS = sorted((ROOT / "tests/recorded/bench").glob("*/run.json"))


def test_the_published_schema_is_the_codes() -> None:
    assert json.loads(PUBLISHED.read_text()) == schema(), "write it again: python -m json.tool of results.schema()"


def test_the_version_is_pinned() -> None:
    assert FORMAT == 1
    assert schema()["properties"]["version"] == {"const": 1, "default": 1, "title": "Version", "type": "integer"}


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.parent.name)
def test_runs_hold_what_the_schema_names_and_nothing_else(path: Path) -> None:
    whole = schema()
    run = json.loads(path.read_text())
    assert set(run) == set(whole["properties"])
    assert set(run["fingerprint"]) == set(whole["$defs"]["Fingerprint"]["properties"])
    for side in (path.parent / "points").glob("*.side.json"):
        assert set(json.loads(side.read_text())) == set(whole["$defs"]["Side"]["properties"])
