"""Saying it: results on stdout, everything else on stderr, one JSON envelope for scripts."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from dsv4_launch.errors import Problem
from dsv4_launch.values import clean as clean
from dsv4_launch.values import to_data

if TYPE_CHECKING:
    from rich.console import Console

ENVELOPE_VERSION = 1
# What could move a terminal's cursor, colour or clear it: C0 less tab and line feed, DEL, C1.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# A code that says more than the kind of failure: an advisory's, or a name of several words.
_TELLING = re.compile(r"[a-z0-9.]+-[a-z0-9.-]+|D\d{2,3}")


def say(text: str = "") -> None:
    """A line of result, on stdout."""
    sys.stdout.write(_writable(text) + "\n")


def note(text: str) -> None:
    """A line that is no result, on stderr."""
    sys.stderr.write(_writable(text) + "\n")
    sys.stderr.flush()


def _writable(text: str) -> str:
    """No control character leaves here, whoever forgot to clean it.

    A file name that is not UTF-8 reaches us with half characters, which no UTF-8 stream takes.
    """
    text = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def problem(found: Problem, level: str = "error") -> None:
    """One problem for a person: what, where, what next; on stderr. `dsv4 explain` knows every code."""
    code = f" [{found.code}]" if _TELLING.fullmatch(found.code) else ""
    note(f"{level}: {clean(found.message)}{code}")
    if found.where:
        note(f"  --> {clean(found.where)}")
    if found.fix:
        note(f"  hint: {clean(found.fix)}")


def envelope(command: str, exit_code: int, data: Any = None, errors: Sequence[Problem] = ()) -> None:
    """The one JSON value that a script gets, on stdout."""
    text = json.dumps(
        {
            "version": ENVELOPE_VERSION,
            "command": command,
            "status": "ok" if exit_code == 0 else "error",
            "exit_code": exit_code,
            "data": to_data(data),
            "errors": [to_data(error) for error in errors],
        },
        ensure_ascii=False,
    )
    # JSON may hold DEL and C1 as they are; a terminal takes them for commands.
    say(_CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text))


def console(*, stderr: bool = False) -> Console:
    """A rich console that obeys NO_COLOR and is plain when not a terminal."""
    from rich.console import Console

    # By itself rich would still print bold under NO_COLOR (https://no-color.org: no escape codes of ours at all).
    colors: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, highlight=False, soft_wrap=True, color_system=colors)
