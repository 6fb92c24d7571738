#!/usr/bin/env python3
"""Make .venv of this checkout, with dsv4 in it, from nothing but a Python interpreter; print nothing when it is there.

    python3 scripts/make_venv.py           # what dsv4 needs
    python3 scripts/make_venv.py --dev     # and what its tests and checks need

The interpreter that runs this may be older than the one that dsv4 needs (Ubuntu 22.04 has 3.10): a newer one is looked
for on PATH, then uv is asked to fetch one. Versions are those of scripts/constraints.txt, so that a fresh clone gets
today what it got yesterday. Standard library only. Exit codes: 0 done, 5 no suitable Python, 6 an installer failed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from get_uv import NoUvError, default_home, find_or_fetch, uv_env

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "dsv4-venv.json"
CONSTRAINTS = ROOT / "scripts" / "constraints.txt"
LEAST = (3, 11)  # requires-python of pyproject.toml
FETCHED = "3.12"


class NoPythonError(RuntimeError):
    """No Python of the needed age is here, and none could be fetched (exit 5)."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="with the tools of the tests and checks")
    dev = parser.parse_args().dev
    if _is_there(dev):
        return 0
    try:
        with (ROOT / ".venv.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # two first runs at once: the second finds the work done
            if not _is_there(dev):
                _make(dev)
    except NoPythonError as error:
        print(f"error: {error}", file=sys.stderr)
        return 5
    except NoUvError as error:
        print(f"error: {error}", file=sys.stderr)
        return 6
    except subprocess.CalledProcessError as error:
        tail = "\n  ".join(error.stdout.strip().splitlines()[-15:])
        print(f"error: uv exited {error.returncode}:\n  {tail}", file=sys.stderr)
        return 6
    except KeyboardInterrupt:
        print("stopped; the next run goes on from the download cache", file=sys.stderr)
        return 130
    return 0


def _is_there(dev: bool) -> bool:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    return bool(stamp["made_from"] == _made_from() and (stamp["dev"] or not dev) and _version(VENV / "bin" / "python"))


def _made_from() -> str:
    """What the environment follows from. The path too: scripts in bin/ and the editable install hold it."""
    parts = [(ROOT / "pyproject.toml").read_bytes(), CONSTRAINTS.read_bytes(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _make(dev: bool) -> None:
    started_s = time.monotonic()
    python = _python()
    uv = find_or_fetch(default_home())
    extra = "[dev]" if dev else ""
    print(f"making .venv with Python {python} and dsv4{extra}, from PyPI unless cached", file=sys.stderr, flush=True)
    if not STAMP.exists() or _version(VENV / "bin" / "python") is None:
        _uv_venv(uv, python)
    else:
        dev = dev or bool(json.loads(STAMP.read_text()).get("dev"))
    STAMP.unlink(missing_ok=True)  # an interrupted update is not taken for a finished one
    package = f"{ROOT}[dev]" if dev else str(ROOT)
    _uv(uv, "pip", "install", "--python", VENV / "bin" / "python", "--constraints", CONSTRAINTS, "--editable", package)
    STAMP.write_text(json.dumps({"made_from": _made_from(), "dev": dev}) + "\n")
    print(f".venv is there after {time.monotonic() - started_s:.0f} s", file=sys.stderr, flush=True)


def _uv_venv(uv: Path, python: str) -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        _uv(uv, "venv", "--python", python, VENV)
    except subprocess.CalledProcessError as error:
        if python != FETCHED:
            raise
        said = error.stdout.strip().splitlines()[-1:] or ["nothing"]
        raise NoPythonError(
            f"dsv4 needs Python {'.'.join(map(str, LEAST))} or newer; this one is {sys.version.split()[0]}, no newer "
            f"one is on PATH, and uv could not fetch one ({said[0].strip()})\n"
            "hint: install one: `apt-get install python3.12` or https://docs.astral.sh/uv/guides/install-python/"
        ) from error


def _python() -> str:
    """An interpreter that is new enough: this one, or one on PATH, else the version for uv to fetch."""
    base = Path(getattr(sys, "_base_executable", "") or sys.executable)  # not some other environment's
    named = [shutil.which(f"python3.{minor}") for minor in (12, 13, 11, 14)]
    for candidate in (base, *(Path(path) for path in named if path)):
        version = _version(candidate)
        if version is not None and version >= LEAST:
            return str(candidate)
    return FETCHED


def _version(python: Path) -> tuple[int, int] | None:
    """Major and minor version of an interpreter, None when it does not run."""
    code = "import sys; print(sys.version_info[0], sys.version_info[1])"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def _uv(uv: Path, *arguments: str | Path) -> None:
    env = {name: value for name, value in uv_env().items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    subprocess.run(
        [uv, *arguments], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )


if __name__ == "__main__":
    sys.exit(main())
