"""What a short command does not import or build: its start is most of its time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pasted import SOUND

BUILTIN = Path(__file__).resolve().parents[2] / "configs" / "flash-b200.yaml"
# Nothing of a host, an engine or a terminal; docker, the Hub and rich alone take longer than these commands.
HEAVY = {"docker", "huggingface_hub", "prometheus_client", "pynvml", "requests", "rich", "vl_convert"}
LAYERS = {f"dsv4_launch.{layer}" for layer in ("bench", "checks", "deep", "facts", "host", "run")}
SHORT = {
    "--help": (["--help"], {"pydantic", "yaml", "tomli", "dsv4_launch.catalog", "dsv4_launch.config"}),
    "lint": (["lint", SOUND], {"yaml", "packaging"}),
    "render-cmd": (["render-cmd"], {"packaging", "dsv4_launch.convert"}),
    "validate": (["validate", str(BUILTIN)], {"packaging", "dsv4_launch.convert"}),
}
# Runs a command line, then says what was imported, which tables of a config had a schema built for themselves, and
# which frozen dataclasses were compiled (`dsv4_launch.dataclass` has none to compile).
PROGRAM = """
import sys
from dsv4_launch.cli.main import main
code = main(sys.argv[1:])
ours = {name: module for name, module in sys.modules.items() if name.startswith("dsv4_launch")}
values = [value for module in ours.values() for value in vars(module).values() if isinstance(value, type)]
classes = {value for value in values if value.__module__ in ours}
params = {value: value.__dict__.get("__dataclass_params__") for value in classes}
print(*sys.modules, file=sys.stderr)
print(*(value.__name__ for value in classes if value.__dict__.get("__pydantic_complete__")), file=sys.stderr)
print(*(value.__name__ for value in classes if params[value] and params[value].frozen), file=sys.stderr)
sys.exit(code)
"""
# A table of flags keeps what it has looked up, in a dict of its own.
COMPILED = {"FlagTable"}


@pytest.mark.parametrize(("words", "unneeded"), SHORT.values(), ids=SHORT)
def test_a_short_command_imports_and_builds_only_what_it_needs(words: list[str], unneeded: set[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    imported, built, compiled = (set(line.split()) for line in ended.stderr.splitlines()[-3:])
    assert (HEAVY | LAYERS | unneeded) & imported == set()
    assert built <= {"LaunchConfig"}
    assert compiled <= COMPILED, "take dataclass from dsv4_launch.dataclass"
