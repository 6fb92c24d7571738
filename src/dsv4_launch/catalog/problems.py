"""What the codes of errors mean that no check, constraint or advisory explains, as data: one file a subject."""

from __future__ import annotations

from dsv4_launch.catalog.read import DATA, table
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class KnownProblem:
    """A code in words. ``exits``: the exit codes that it comes with; 0 is a warning, none is that of what failed."""

    code: str
    exits: tuple[int, ...]
    title: str
    cause: str
    fix: str


def known_problems() -> tuple[KnownProblem, ...]:
    """Every one of them, file by file."""
    names = sorted(path.stem for path in (DATA / "problems").glob("*.toml"))
    return tuple(
        KnownProblem(row["code"], tuple(row["exit"]), row["title"], row["cause"], row["fix"])
        for name in names
        for row in table(f"problems/{name}")["problem"]
    )
