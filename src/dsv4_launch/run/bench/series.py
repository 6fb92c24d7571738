"""What a report or a comparison is given on the command line becomes series: run directories, other tools' files."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dsv4_launch.bench.draw.described import run_series
from dsv4_launch.bench.results import load_json
from dsv4_launch.bench.series import Series, with_own_labels
from dsv4_launch.bench.tools import files as tool_files
from dsv4_launch.errors import InputError, Problem
from dsv4_launch.run.bench import store

_MAX_FILES = 1000


def load_all(paths: Iterable[str]) -> tuple[Series, ...]:
    """The series of every path, in order, with labels of their own. Raises InputError with all that cannot be read.

    A folder of runs, such as that of a tuning, is its runs. Runs of one deployment have one name: their folders tell
    them apart.
    """
    found: list[tuple[Series, str]] = []
    problems: list[Problem] = []
    for path in (run for given in map(Path, paths) for run in _runs_in(given) or (given,)):
        try:
            found += [(one, path.resolve().name) for one in load(path)]
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    often = Counter(one.label for one, _ in found)
    return with_own_labels(
        replace(one, label=f"{one.label} ({folder})") if often[one.label] > 1 and one.label != folder else one
        for one, folder in found
    )


def _runs_in(folder: Path) -> list[Path]:
    """The run directories of a folder that is none itself."""
    if not folder.is_dir() or (folder / store.RUN).exists():
        return []
    with contextlib.suppress(OSError):  # whoever reads the folder next says so
        return sorted(path for path in folder.iterdir() if (path / store.RUN).is_file())[:_MAX_FILES]
    return []


def load(path: Path) -> tuple[Series, ...]:
    """The series of one path. Raises InputError: neither a run directory nor a file or folder of a known tool."""
    if path.is_dir() and not (path / store.RUN).exists():
        return _folder(path)
    if path.is_dir() or path.name == store.RUN:
        return (_run(path if path.is_dir() else path.parent),)
    if not path.exists():
        raise InputError("There is no such file or directory.", where=str(path), fix=tool_files.EXPECTED)
    return (_file(path),)


def _run(folder: Path) -> Series:
    results = store.load(folder)
    measured = ((one.planned, one.side, one.point) for one in results.measured)
    problems = (f"{problem.where}: {problem.message}" for problem in results.problems)
    return run_series(results.run, measured, label=results.run.name or folder.name, problems=problems)


def _folder(folder: Path) -> tuple[Series, ...]:
    try:
        files = sorted(file for name in tool_files.NAMES for file in folder.rglob(name))[:_MAX_FILES]
    except OSError as error:
        raise InputError(f"It cannot be read: {error.strerror or error}.", where=str(folder)) from None
    if not files:
        raise InputError("It holds no run and no results.", where=str(folder), fix=tool_files.EXPECTED)
    return tool_files.together(_file(file) for file in files)


def _file(path: Path) -> Series:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"It cannot be read: {error.strerror or error}.", where=str(path)) from None
    return tool_files.read(load_json(data, str(path)), str(path))
