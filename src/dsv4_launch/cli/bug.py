"""A fault of ours, saved where its finder can read it and attach it."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from importlib.metadata import version
from pathlib import Path

from dsv4_launch.errors import Problem


def report(error: Exception, arguments: list[str]) -> Problem:
    """Save the traceback in a private file; returns the problem to show. Values of options are not saved."""
    text = "".join(traceback.format_exception(error))
    words = [a.partition("=")[0] for a in arguments if a.startswith("-")]
    head = f"dsv4 {version('dsv4-launch')}, Python {platform.python_version()}, {sys.platform}\noptions: {words}\n\n"
    with tempfile.NamedTemporaryFile("w", prefix="dsv4-bug-", suffix=".txt", delete=False) as file:
        file.write(head + text)
    return Problem(
        "bug",
        f"This is a bug of dsv4: {type(error).__name__}.",
        str(Path(file.name)),
        "Please report it with the saved traceback.",
    )
