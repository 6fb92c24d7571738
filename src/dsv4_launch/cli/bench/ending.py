"""The report that a sweep ends in: what `dsv4 bench report` writes, without ever failing the sweep."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsv4_launch.errors import Interrupted
from dsv4_launch.values import counted

FORMATS, TEXTS = ("html", "md", "csv", "svg"), ("md", "csv")
_LONGEST_S = 600.0
_OURS = "from dsv4_launch.cli.main import run; run()"


@dataclass(frozen=True, slots=True)
class Drawn:
    """The files of a report, the first one first to be opened; and why some or all of them are missing ("": none)."""

    files: tuple[str, ...] = ()
    why: str = ""


def draw(folder: Path, again: str) -> Drawn:
    """Write the report into ``report/`` of a run directory; without its charts where they cannot be drawn.

    In a process of its own: what draws aborts its process where it cannot have the memory it wants. Raises Interrupted.
    """
    try:
        whole = _report(folder, FORMATS)
        return replace(_report(folder, TEXTS), why=whole.why) if whole.why else whole
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted while the report was drawn; every point that was measured is kept.",
            where=str(folder),
            fix=f"`{again}` draws it.",
        ) from None


def _report(folder: Path, formats: Sequence[str]) -> Drawn:
    words = ["bench", "report", "--format", ",".join(formats), "--output", "json", "--", str(folder)]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _OURS, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except OSError as error:
        return Drawn(why=f"no process can be started for it: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Drawn(why=f"it took longer than {_LONGEST_S:.0f} s")
    try:
        said: dict[str, Any] = json.loads(done.stdout)
        if done.returncode == 0:
            return Drawn(tuple(said["data"]["files"]))
        return Drawn(why=str(said["errors"][0]["message"]))
    except (ValueError, KeyError, IndexError, TypeError):
        return Drawn(why=_ended(done.returncode))


def _ended(code: int) -> str:
    if code >= 0:
        return f"what draws it ended with {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"what draws it was ended by {name}: memory is short, or limited"


def told(files: Sequence[str]) -> str:
    """The file to open, and in brackets what lies beside it."""
    charts = sum(name.endswith(".svg") for name in files)
    others = [Path(name).name for name in files[1:] if not name.endswith(".svg")]
    beside = [*others, *([f"{counted(charts, 'chart')} as SVG"] if charts else [])]
    return f"{files[0]} ({', '.join(beside)} beside it)" if beside else files[0]
