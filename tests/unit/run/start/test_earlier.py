"""What earlier starts took: remembered, bounded, private, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsv4_launch.run.start import earlier as starts
from dsv4_launch.run.start.earlier import Starts
from dsv4_launch.run.start.stage_times import StageTime, StageTimes

STAGES = (StageTime("weights", "loading weights", 65.2), StageTime("graphs", "capturing CUDA graphs", 12.0, 11.0))


def test_a_start_is_found_again_by_its_digest(tmp_path: Path) -> None:
    store = Starts({"DSV4_STATE_DIR": str(tmp_path)})
    assert store.last("a") == {}
    store.record("a", STAGES)
    store.record("b", STAGES[:1])
    assert store.last("a") == {"weights": 65.2, "graphs": 12.0}
    assert store.last("b") == {"weights": 65.2}
    assert (tmp_path / starts.FILE).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [".starts.json.lock", "starts.json"]


def test_it_stays_small(tmp_path: Path) -> None:
    store = Starts({"DSV4_STATE_DIR": str(tmp_path)})
    for number in range(starts.KEPT + 5):
        store.record(f"{number:016x}", STAGES)
    assert len(json.loads((tmp_path / starts.FILE).read_text())["starts"]) == starts.KEPT
    assert store.last(f"{0:016x}") == {}
    assert store.last(f"{starts.KEPT + 4:016x}")


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"version": 2, "starts": {"a": {}}}', '{"version": 1}', '{"version": 1, "starts": {"a": 3}}',
        '{"version": 1, "starts": {"a": {"stages": {"weights": "long"}}}}', "[" * 100_000,
        '{"version": 1, "starts": {"a": {"stages": {"weights": 1e99, "x": -1, "y": null}}}}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / starts.FILE).write_text(text)
    store = Starts({"DSV4_STATE_DIR": str(tmp_path)})
    assert store.last("a") == {}
    store.record("a", STAGES)
    assert store.last("a")["weights"] == 65.2


def test_a_folder_that_cannot_be_written_fails_no_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Starts({"DSV4_STATE_DIR": str(tmp_path / "file" / "below")})
    store.record("a", STAGES)
    assert store.last("a") == {}


def test_a_link_in_the_state_folder_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = tmp_path / "state"
    state.mkdir()
    (state / ".starts.json.lock").symlink_to(victim)
    Starts({"DSV4_STATE_DIR": str(state)}).record("a", STAGES)
    assert victim.read_text() == "precious"
    assert not (state / starts.FILE).exists()


def test_a_stage_that_comes_again_goes_on() -> None:
    now = [0.0]
    times = StageTimes(lambda: now[0])
    for key, at_s in (("deep-gemm", 1), ("autotune", 3), ("deep-gemm", 7), ("deep-gemm", 8)):
        times.reach(key, key, float(at_s))
    now[0] = 12.0
    assert [(stage.key, stage.seconds) for stage in times.end()] == [("deep-gemm", 7.0), ("autotune", 4.0)]
    assert len(times.end()) == 2
