"""A run directory: what is over is known from its files alone, and no broken file spoils the others."""

import shutil
from pathlib import Path

import pytest

from dsv4_launch.bench.results import Planned, Side
from dsv4_launch.errors import HostError, InputError
from dsv4_launch.run.bench import store
from dsv4_launch.run.bench.series import load_all

RECORDED = Path(__file__).parents[3] / "recorded" / "bench"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECORDED / "b", tmp_path / "b"))


def side(key: str, status: str) -> Side:
    return Side(key=key, status=status, started="a", finished="b", seconds=1.0)  # type: ignore[arg-type]


def test_a_whole_run_has_each_point_in_the_planned_order(folder: Path) -> None:
    found = store.load(folder)
    assert [point.key for point in found.points] == [planned.key for planned in found.run.points]
    assert found.missing() == ()
    assert found.problems == ()


def test_a_point_without_its_side_file_is_missing(folder: Path) -> None:
    (folder / "points/c0004-r1.side.json").unlink()
    assert [planned.key for planned in store.load(folder).missing()] == ["c0004-r1"]


def test_an_interrupted_point_is_missing_and_a_failed_one_is_not(folder: Path) -> None:
    store.write_point(folder, side("c0004-r1", "interrupted"), None)
    store.write_point(folder, side("c0016-r1", "failed"), None)
    assert [planned.key for planned in store.load(folder).missing()] == ["c0004-r1"]


def test_figures_of_a_dying_server_are_no_figures(folder: Path) -> None:
    result = (folder / "points/c0004-r1.json").read_bytes()
    store.write_point(folder, side("c0004-r1", "interrupted"), result)
    assert "c0004-r1" not in [point.key for point in store.load(folder).points]


@pytest.mark.parametrize("file", ["c0004-r1.json", "c0004-r1.side.json"])
def test_a_truncated_file_is_told_and_its_point_is_missing(folder: Path, file: str) -> None:
    path = folder / "points" / file
    path.write_bytes(path.read_bytes()[:-40])
    found = store.load(folder)
    assert [planned.key for planned in found.missing()] == ["c0004-r1"]
    assert [problem.where for problem in found.problems] == [str(path)]
    assert len(found.points) == 5


def test_what_is_written_is_read(folder: Path) -> None:
    result = (folder / "points/c0004-r1.json").read_bytes()
    new = side("c0004-r2", "ok")
    store.write_point(folder, new, result, [{"t": 1, "kind": "server"}])
    measured = store.read_measured(folder, Planned(key="c0004-r2", concurrency=4, repeat=2, num_prompts=24))
    assert measured.side == new
    assert (folder / "points/c0004-r2.json").read_bytes() == result
    assert store.samples_path(folder, "c0004-r2").read_text() == '{"kind":"server","t":1}\n'
    assert not [path for path in (folder / "points").iterdir() if path.name.startswith(".")]


def test_no_directory_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no run\.json"):
        store.load(tmp_path)


def test_one_measures_at_a_time(tmp_path: Path) -> None:
    with store.locked(tmp_path / "new"), pytest.raises(HostError, match="Another"), store.locked(tmp_path / "new"):
        pass
    with store.locked(tmp_path / "new"):
        pass


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be written"), store.locked(tmp_path / "file"):
        pass


def test_runs_of_one_deployment_are_told_apart_by_their_folders() -> None:
    names = [str(RECORDED / name) for name in ("a", "b", "a")]
    assert [one.label for one in load_all(names)] == ["flash-b200 (a)", "flash-b200 (b)", "flash-b200 (a) #2"]
    assert [one.label for one in load_all(names[:1])] == ["flash-b200"]


@pytest.mark.parametrize(("file", "measured_again"), [("points/c0004-r1.json", True), ("run.json", False)])
def test_only_a_point_is_mended_by_measuring_again(folder: Path, file: str, measured_again: bool) -> None:
    (folder / file).write_text((folder / file).read_text()[:80])
    try:
        (problem,) = store.load(folder).problems
    except InputError as error:
        (problem,) = error.problems
    assert ("--resume" in problem.fix) == measured_again
    assert problem.fix
