"""The vllm executable on this machine, and its version without starting it: importing vLLM takes seconds."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dsv4_launch.facts import Native
from dsv4_launch.host.looking import Note, clean, spell

ASK_S = 20.0
_ASK = "import importlib.metadata as m; print(m.version('vllm'))"


def read_native(executable: str, note: Note, env: Mapping[str, str] | None = None) -> Native:
    """Where an executable is, and which vLLM it would run."""
    known = os.environ if env is None else env
    path = shutil.which(executable, path=known.get("PATH"))
    version = None if path is None else _version(Path(path), note)
    return Native(executable=executable, path=path, version=version, visible_devices=known.get("CUDA_VISIBLE_DEVICES"))


def _version(path: Path, note: Note) -> str | None:
    python = interpreter(path)
    command = [python, "-c", _ASK] if python else [str(path), "--version"]
    # It keeps the current folder off sys.path, so that what lies here is not asked instead; Python 3.10 has no -P.
    environ = {**os.environ, "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=ASK_S, check=False, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        note("native.version", spell(error))
        return None
    found = re.findall(r"\d+(?:\.\d+)+[\w.+]*", done.stdout)
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or ["it printed no version"])[-1]
        note("native.version", clean(f"{command[0]} ended with {done.returncode}: {last}"))
        return None
    return clean(found[-1])


def interpreter(script: Path) -> str | None:
    """The Python that a console script starts: named in its first line, or in the second where pip wraps a long one."""
    try:
        with script.open("rb") as file:
            lines = [line.decode("utf-8", "replace") for line in file.read(4096).splitlines()[:2]]
    except OSError:
        return None
    if not lines or not lines[0].startswith("#!"):
        return None
    second = lines[1] if len(lines) > 1 else ""
    wrapped = re.match(r"""'''exec' "?([^"']+?python[\w.]*)"?\s""", second)
    # A relocatable environment (uv): the interpreter beside the script.
    beside = re.match(r"""'''exec' "\$\(dirname .+\)"/'(python[\w.]*)'\s""", second)
    words = [wrapped.group(1)] if wrapped else lines[0][2:].split()
    if beside:
        words = [str(script.resolve().parent / beside.group(1))]
    if words and Path(words[0]).name == "env":
        words = [found for word in words[1:] if not word.startswith("-") and (found := shutil.which(word))]
    if not words or "python" not in Path(words[0]).name or not Path(words[0]).exists():
        return None
    return words[0]
