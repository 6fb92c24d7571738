"""What a report or a comparison is given on the command line becomes series: run directories, other tools' files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dsv4_launch.bench.described import run_series
from dsv4_launch.bench.series import Series, with_own_labels
from dsv4_launch.errors import InputError, Problem
from dsv4_launch.run import bench_store


def load_all(paths: Iterable[str]) -> tuple[Series, ...]:
    """The series of every path, in order, with labels of their own. Raises InputError with all that cannot be read."""
    found: list[Series] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found += load(Path(path))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return with_own_labels(found)


def load(path: Path) -> tuple[Series, ...]:
    """The series of one path. Raises InputError: neither a run directory nor a file that is known."""
    if path.is_dir():
        results = bench_store.load(path)
        measured = ((one.planned, one.side, one.point) for one in results.measured)
        problems = (f"{problem.where}: {problem.message}" for problem in results.problems)
        return (run_series(results.run, measured, label=results.run.name or path.name, problems=problems),)
    if not path.exists():
        raise InputError("There is no such file or directory.", where=str(path), code="bench-absent")
    raise InputError("This is no run directory.", where=str(path), fix=EXPECTED, code="bench-file")


EXPECTED = "Give a directory that `dsv4 bench run` wrote."
