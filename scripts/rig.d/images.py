"""The two images of the tests, made here because no registry may be in reach: a stand-in server, and real vLLM.

Both lie on a small Debian or Ubuntu of the host's own release, made from the host's own package source, so that
its Python is the one for which the vLLM environment's compiled modules were built. Each is one `docker import`:
the files go over once, which for 2 GB takes a third of the time of a build with COPY. Both have the official
image's entry point, `vllm serve` (https://github.com/vllm-project/vllm/blob/v0.20.0/docker/Dockerfile).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from engine import Engine
from shell import RigError, install, rig_home, run, say

ROOT = Path(__file__).resolve().parent.parent.parent
STANDIN = "dsv4-standin:latest"
REHEARSAL = "dsv4-rehearsal-cpu:{version}"
# The same with a C++ compiler, which torch.compile needs on the CPU: for scripts/bench_restart.py alone.
COMPILING = "dsv4-rehearsal-compile:{version}"
# libstdc++6 for torch; without libnuma1 vLLM's CPU engine dies at start.
PACKAGES = "python3,ca-certificates,libnuma1,libstdc++6"
# Inductor compiles against Python's headers (torch/_inductor/cpp_builder.py).
COMPILERS = "g++,libpython3-dev"
LABEL = "dsv4.rig"
_ENTRY = ('ENTRYPOINT ["vllm","serve"]', "WORKDIR /", "ENV PYTHONUNBUFFERED=1", "EXPOSE 8000")
# The guard matters: vLLM's processes are spawned, and each begins by importing this file.
_VLLM = """#!/usr/bin/python3
import sys
from vllm.entrypoints.cli.main import main
if __name__ == "__main__":
    sys.exit(main())
"""


def make_base(packages: str = PACKAGES) -> Path:
    """The base system's folder, made once by mmdebstrap and kept."""
    base = rig_home() / f"base-{hashlib.sha256(packages.encode()).hexdigest()[:8]}"
    if (base / "usr/bin/python3").exists():
        return base
    install({"mmdebstrap": "mmdebstrap"})
    suite, source = host_source()
    say(f"a base system: {suite} with {packages}")
    part = base.with_name(f"{base.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    slim = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")]
    command = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={packages}", *slim]
    if "ubuntu" in source:
        command.append("--components=main,universe")
    run([*command, "--skip=check/empty", "--mode=root", "--format=directory", suite, part, source])
    part.rename(base)
    return base


def host_source() -> tuple[str, str]:
    """This host's release and the package source it uses, from its own apt configuration."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.M))
    suite, text = release.get("VERSION_CODENAME", ""), ""
    folder = Path("/etc/apt")
    for file in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        text += file.read_text() + "\n" if file.is_file() else ""
    plain = re.findall(rf"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+{suite}\s+main\b", text, re.M)
    for block in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.+)$", block, re.M))
        if suite in fields.get("Suites", "").split() and "main" in fields.get("Components", "").split():
            plain.append(fields.get("URIs", "").split()[0])
    if not suite or not plain:
        raise RigError("no apt source for this release was found in /etc/apt; is this Debian or Ubuntu?", 5)
    return suite, plain[0]


def make_standin(engine: Engine) -> bool:
    """Make the stand-in image if it is not there as it should be; whether anything was done."""
    server = ROOT / "tests/e2e/standin/server.py"
    base = make_base()
    digest = hashlib.sha256(server.read_bytes() + _system(base)).hexdigest()[:16]
    extra = rig_home() / "standin"
    binary = extra / "usr/local/bin/vllm"
    binary.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(server, binary)
    binary.chmod(0o755)
    return _import(engine, STANDIN, digest, ["-C", base, ".", "-C", extra, "./usr/local/bin/vllm"])


def make_rehearsal(engine: Engine, venv: Path, *, compiler: bool = False) -> bool:
    """Make the image with the vLLM environment in it; whether anything was done. Raises RigError."""
    base = make_base(f"{PACKAGES},{COMPILERS}" if compiler else PACKAGES)
    stamp = json.loads((venv / "dsv4-env.json").read_text())
    packages = next(venv.glob("lib/python3.*/site-packages"))
    python = packages.parent.name
    if not (base / "usr/bin" / python).exists():
        have = next(base.glob("usr/bin/python3.[0-9]*")).name
        raise RigError(f"{venv} is for {python}, the base system has {have}: make it with --python /usr/bin/{have}")
    extra = rig_home() / "rehearsal"
    binary = extra / "usr/local/bin/vllm"
    binary.parent.mkdir(parents=True, exist_ok=True)
    binary.write_text(_VLLM)
    binary.chmod(0o755)
    # Debian's python3 looks in dist-packages, so neither PYTHONPATH nor a virtual environment is needed.
    moved = f"s,^\\./site-packages,./usr/local/lib/{python}/dist-packages,"
    digest = hashlib.sha256((json.dumps(stamp) + _VLLM).encode() + _system(base)).hexdigest()[:16]
    # The base has the folder too, and an engine refuses a tar that names one path twice.
    files: list[str | Path] = [f"--exclude=./usr/local/lib/{python}/dist-packages", "--transform", moved]
    files += ["-C", base, ".", "-C", extra, "./usr/local/bin/vllm", "-C", packages.parent, "./site-packages"]
    return _import(engine, (COMPILING if compiler else REHEARSAL).format(version=stamp["vllm"]), digest, files)


def _system(base: Path) -> bytes:
    return (base / "var/lib/dpkg/status").read_bytes()


def _import(engine: Engine, image: str, digest: str, files: list[str | Path]) -> bool:
    inspect = ["docker", "image", "inspect", "-f", f'{{{{index .Config.Labels "{LABEL}"}}}}', image]
    there = subprocess.run(inspect, env=engine.env(), capture_output=True, text=True, check=False)
    if there.stdout.strip() == digest:
        return False
    say(f"image {image}")
    changes = [word for line in (*_ENTRY, f"LABEL {LABEL}={digest}") for word in ("--change", line)]
    tar = ["tar", "-c", "--exclude=./dev/*", "--numeric-owner", *map(str, files)]
    with subprocess.Popen(tar, stdout=subprocess.PIPE, stderr=sys.stderr) as packed:
        into = ["docker", "import", *changes, "-", image]
        done = subprocess.run(into, env=engine.env(), stdin=packed.stdout, capture_output=True, text=True, check=False)
    if done.returncode != 0 or packed.returncode != 0:
        said = done.stderr.strip()
        raise RigError(f"docker import {image} exited {done.returncode}, tar {packed.returncode}:\n  {said}")
    return True
