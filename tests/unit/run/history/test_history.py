from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.run.history.docker import LABEL_ENTRY, LABEL_HISTORY, DockerHistory
from dsv4_launch.run.history.entries import (
    KEPT,
    KEPT_HEALTHY,
    Entry,
    dump,
    entry_of,
    last_healthy,
    ordered,
    parse,
    too_many,
)
from dsv4_launch.run.history.native import NativeHistory
from unit.run.doubles import PLAN


def entry(number: int = 0, outcome: str = "healthy", digest: str = "d") -> Entry:
    made = entry_of(PLAN, digest, user="u", image_digest="", outcome="healthy", why="", by="serve")
    return replace(made, number=number, outcome=outcome)


def test_an_entry_comes_back_from_its_text() -> None:
    made = replace(entry(7), config={"name": "x", "nested": {"a": [1, 2]}})
    assert parse(dump(made)) == made


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"version": 1}', '{"version": 2, "number": 1}', '{"version": 1, "number": "x"}']
)  # fmt: skip
def test_what_is_no_entry_is_none(text: str) -> None:
    assert parse(text) is None


def test_an_entry_with_a_part_of_another_kind_is_none() -> None:
    for changes in ({"number": "1"}, {"config": []}, {"why": None}):
        data = json.loads(dump(entry(1))) | changes
        assert parse(json.dumps(data)) is None


def test_no_secret_and_no_log_gets_into_the_reason() -> None:
    made = entry_of(
        PLAN, "d", user="u", image_digest="", outcome="failed", why="api_key=abcdef123456 " + "x" * 9999, by=""
    )
    assert "abcdef123456" not in made.why
    assert len(made.why) <= 500


@given(st.lists(st.sampled_from(["healthy", "failed", "late"]), max_size=120))
def test_history_is_bounded_and_the_last_healthy_ones_stay(outcomes: list[str]) -> None:
    entries = [entry(n + 1, outcome) for n, outcome in enumerate(outcomes)]
    gone = {e.number for e in too_many(entries)}
    left = [e for e in entries if e.number not in gone]
    assert len(left) <= KEPT + KEPT_HEALTHY
    healthy = [e.number for e in entries if e.outcome == "healthy"][-KEPT_HEALTHY:]
    assert set(healthy) <= {e.number for e in left}
    assert [e.number for e in entries[-KEPT:]] == [e.number for e in left[-KEPT:]]


def test_the_last_healthy_one_that_is_not_what_runs() -> None:
    entries = [entry(1, digest="a"), entry(2, digest="b"), entry(3, "failed", digest="c")]
    assert last_healthy(entries) == entries[1]
    assert last_healthy(entries, but="b") == entries[0]
    assert last_healthy(entries[2:]) is None


def test_native_entries_are_numbered_whole_and_readable_by_the_group(tmp_path: Path) -> None:
    history = NativeHistory({"DSV4_STATE_DIR": str(tmp_path)})
    assert [history.add("x", entry(digest=d)).number for d in "abc"] == [1, 2, 3]
    assert [e.digest for e in history.entries("x")] == ["a", "b", "c"]
    assert history.names() == ["x"]
    assert history.entries("y") == history.entries("../../x") == []
    files = sorted((tmp_path / "history/x").iterdir())
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3
    assert (tmp_path / "history/x").stat().st_mode & 0o077 == 0
    files[1].write_text("{")
    assert [e.digest for e in history.entries("x")] == ["a", "c"]


def test_a_number_that_another_process_took_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    history = NativeHistory({"DSV4_STATE_DIR": str(tmp_path)})
    history.add("x", entry(digest="a"))
    (tmp_path / "history/x/000002.json").write_text("half")  # no entry, but its name is taken
    assert history.add("x", entry(digest="b")).number == 3
    assert (tmp_path / "history/x/000002.json").read_text() == "half"


def test_what_a_killed_process_left_half_written_goes_with_the_next_entry(tmp_path: Path) -> None:
    history = NativeHistory({"DSV4_STATE_DIR": str(tmp_path)})
    history.add("x", entry())
    half = tmp_path / "history/x/.part-999999999"
    half.write_text("{")
    alive = tmp_path / f"history/x/.part-{os.getppid()}"
    alive.write_text("{")
    history.add("x", entry())
    assert (half.exists(), alive.exists()) == (False, True)
    assert len(history.entries("x")) == 2


class Engine:
    """An engine's volumes: creating one that is there gives the one that is there."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, str]] = {}
        self.api = self

    def volumes(self, filters: dict[str, list[str]]) -> dict[str, object]:
        name, _, value = filters["label"][0].partition("=")
        found = [v for v in self.kept.items() if name in v[1] and (not value or v[1][name] == value)]
        return {"Volumes": [{"Name": n, "Labels": labels} for n, labels in found] or None}

    def create_volume(self, name: str, labels: dict[str, str]) -> dict[str, object]:
        return {"Name": name, "Labels": self.kept.setdefault(name, labels)}

    def remove_volume(self, name: str) -> None:
        del self.kept[name]


def test_containers_have_their_history_in_labels_of_volumes() -> None:
    engine = Engine()
    history = DockerHistory(lambda: engine)
    assert [history.add("x", entry(digest=d)).number for d in "ab"] == [1, 2]
    engine.kept["dsv4-history.x.000003"] = {"dsv4.writer": "another"}  # came between the look and the creation
    assert history.add("x", entry(digest="c")).number == 4
    engine.kept["forged"] = {LABEL_HISTORY: "x", LABEL_ENTRY: "nonsense"}
    assert [e.digest for e in history.entries("x")] == ["a", "b", "c"]
    assert history.names() == ["x"]
    for n in range(60):
        history.add("x", entry(outcome="failed", digest=str(n)))
    numbers = [e.number for e in history.entries("x")]
    assert len(numbers) == KEPT + KEPT_HEALTHY
    assert numbers[:3] == [1, 2, 4], "the healthy ones"
    assert ordered(history.entries("x")) == history.entries("x")
