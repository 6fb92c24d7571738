"""Every failure that dsv4 can end in, and the exit code that tells a script who must act."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable code, what, where (``file:line``, a check, a flag), and what to do next."""

    code: str
    message: str
    where: str = ""
    fix: str = ""


class Dsv4Error(Exception):
    """A failure that is written for the person who reads it; it holds one problem or several."""

    exit_code: ClassVar[int]
    default_code: ClassVar[str]

    def __init__(self, *problems: Problem | str, where: str = "", fix: str = "", code: str = "") -> None:
        """Take whole problems, or one message with its ``where``, ``fix`` and ``code``."""
        self.problems: tuple[Problem, ...] = tuple(
            Problem(code or self.default_code, problem, where, fix) if isinstance(problem, str) else problem
            for problem in problems
        )
        super().__init__("; ".join(problem.message for problem in self.problems))


class UsageError(Dsv4Error):
    """The command line itself is wrong."""

    exit_code = 2
    default_code = "usage"


class InputError(Dsv4Error):
    """An input is not valid: a config, facts file, run directory or linted text."""

    exit_code = 3
    default_code = "input"


class ImpossibleError(Dsv4Error):
    """The input is valid, but asks for what cannot be: no release or GPU does it, or it does not fit."""

    exit_code = 4
    default_code = "impossible"


class HostError(Dsv4Error):
    """This machine fails a check, or is not in the state that the command needs."""

    exit_code = 5
    default_code = "host"


class ToolError(Dsv4Error):
    """A tool that we call is missing or returned non-zero."""

    exit_code = 6
    default_code = "tool"


class ServerError(Dsv4Error):
    """The server died, or was not ready in time."""

    exit_code = 7
    default_code = "server"


class SmokeError(Dsv4Error):
    """The server answers, wrongly."""

    exit_code = 8
    default_code = "smoke"


class WeightsError(Dsv4Error):
    """The weights could not be had: gated, no space, wrong hash."""

    exit_code = 9
    default_code = "weights"


class GateError(Dsv4Error):
    """A gate that the user set was not met."""

    exit_code = 10
    default_code = "gate"


class Interrupted(Dsv4Error):
    """Ctrl-C before the server was ready; what was started has been stopped."""

    exit_code = 130
    default_code = "interrupted"


BUG_EXIT_CODE = 1


def meaning(exit_code: int) -> str:
    """What an exit code says of a code that comes with it: the first line about the error of that exit code."""
    if exit_code in (0, BUG_EXIT_CODE):
        return "a bug of dsv4" if exit_code else "a warning; by itself it fails nothing"
    text = next(kind.__doc__ or "" for kind in Dsv4Error.__subclasses__() if kind.exit_code == exit_code)
    return text[:1].lower() + text[1:].rstrip(".")


# Over several files the most basic failure wins: an unreadable config (3) before an impossible one (4).
_BASIC_FIRST = (2, 3, 4, 5, 6, 7, 8, 9, 10)


def most_basic(exit_codes: Iterable[int]) -> int:
    """The exit code that stands for several: 0 when all are, else the most basic failure."""
    failed = {code for code in exit_codes if code != 0}
    return next((code for code in _BASIC_FIRST if code in failed), max(failed, default=0))
