"""A command line of dsv4 in this very process: a test that looks a hundred times need not start Python as often.

For looking and stopping only. What is killed, watched or timed is a process of its own, and so is one look a test.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Mapping
from unittest import mock

from dsv4_launch.cli.main import main


def dsv4(env: Mapping[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    """Run it with this environment, as a process would be run with it."""
    out, err = io.StringIO(), io.StringIO()
    arguments = [str(word) for word in words]
    with (
        mock.patch.dict("os.environ", env, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
