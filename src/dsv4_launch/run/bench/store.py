"""The run directory of a benchmark: its documents are read and written here, each whole or not at all.

A point is over when its side file is there. It is written last, so a run that was killed at any moment has each point
either whole or not at all, and `missing` tells which are left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsv4_launch.bench.point import Point, read_point
from dsv4_launch.bench.results import MAX_BYTES, Planned, Run, Side, dump, parse_run, parse_side
from dsv4_launch.errors import HostError, InputError, Problem
from dsv4_launch.values import canonical_json

RUN, POINTS, LOCK = "run.json", "points", ".lock"


@dataclass(frozen=True, slots=True)
class Measured:
    """One planned point and what there is of it. ``problem``: its files cannot be read."""

    planned: Planned
    side: Side | None = None
    point: Point | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """A run directory as it was read: every planned point, in the planned order."""

    folder: Path
    run: Run
    measured: tuple[Measured, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points that were measured and have figures."""
        return tuple(found.point for found in self.measured if found.point is not None)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be read."""
        return tuple(found.problem for found in self.measured if found.problem is not None)

    def missing(self) -> tuple[Planned, ...]:
        """The points that are still to be measured: not over, interrupted, or not readable."""
        return tuple(m.planned for m in self.measured if m.side is None or m.side.status == "interrupted" or m.problem)


def load(folder: Path) -> Results:
    """Read a run directory. Raises InputError: there is none, it is of another version, run.json is not whole."""
    run = parse_run(_read(folder / RUN), str(folder / RUN))
    return Results(folder, run, tuple(read_measured(folder, planned) for planned in run.points))


def read_measured(folder: Path, planned: Planned) -> Measured:
    """What there is of one point; a file that cannot be read becomes its ``problem``."""
    side_path, result_path = paths(folder, planned.key)
    if not side_path.exists():
        return Measured(planned)
    try:
        side = parse_side(_read(side_path), str(side_path))
    except InputError as error:
        return Measured(planned, problem=error.problems[0])
    if side.status == "interrupted" or (side.status != "ok" and not result_path.exists()):
        return Measured(planned, side)  # what a dying server answered is no figure of it, and calls for no stop rule
    try:
        return Measured(planned, side, read_point(planned, _read(result_path), str(result_path)))
    except InputError as error:
        return Measured(planned, side, problem=error.problems[0] if side.status == "ok" else None)


def paths(folder: Path, key: str) -> tuple[Path, Path]:
    """The side file and vLLM's result of a point."""
    return folder / POINTS / f"{key}.side.json", folder / POINTS / f"{key}.json"


def samples_path(folder: Path, key: str) -> Path:
    """Where a point's samples lie."""
    return folder / POINTS / f"{key}.samples.jsonl"


def write_run(folder: Path, run: Run) -> None:
    """Write run.json in one step. Raises HostError when the directory cannot be written."""
    with _writable(folder):
        (folder / POINTS).mkdir(parents=True, exist_ok=True)
        _replace(folder / RUN, dump(run).encode())


def write_point(folder: Path, side: Side, result: bytes | None, samples: Iterable[Mapping[str, Any]] = ()) -> None:
    """Write what a point left: vLLM's result as it is, the samples, and last the side file, which makes it over."""
    side_path, result_path = paths(folder, side.key)
    with _writable(folder):
        side_path.unlink(missing_ok=True)
        result_path.unlink(missing_ok=True)
        if result is not None:
            _replace(result_path, result)
        _replace(samples_path(folder, side.key), "".join(canonical_json(row) + "\n" for row in samples).encode())
        _replace(side_path, dump(side).encode())


def replace_text(path: Path, text: str) -> None:
    """Write another document of a run in one step. Raises HostError when it cannot be written."""
    with _writable(path.parent):
        _replace(path, text.encode())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else measures into this directory meanwhile. Raises HostError when somebody does."""
    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostError(
                "Another dsv4 measures into this directory.",
                where=str(folder),
                fix="Wait, or name another --dir.",
            ) from None
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise HostError(
            f"The results cannot be written: {error.strerror or error}.",
            where=str(error.filename or folder),
            fix="Make room there; --resume goes on." if full else "Name a directory that you may write with --dir.",
            code="bench-write",
        ) from None


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        fix = "A run directory is what `dsv4 bench run --dir DIR` writes."
        raise InputError(f"There is no {path.name} here.", where=str(path), fix=fix, code="bench-absent") from None
    except OSError as error:
        raise InputError(f"It cannot be read: {error.strerror or error}.", where=str(path)) from None
