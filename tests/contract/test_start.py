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
# Runs a command line, then says what was imported, and which tables of a config had a schema built for themselves.
PROGRAM = """
import sys
from dsv4_launch.cli.main import main
code = main(sys.argv[1:])
model = sys.modules.get("dsv4_launch.config.model")
tables = [v for v in vars(model).values() if hasattr(v, "__pydantic_complete__")] if model else []
print(*sys.modules, file=sys.stderr)
print(*(table.__name__ for table in tables if table.__pydantic_complete__), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(("words", "unneeded"), SHORT.values(), ids=SHORT)
def test_a_short_command_imports_and_builds_only_what_it_needs(words: list[str], unneeded: set[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    imported, built = ended.stderr.splitlines()[-2:]
    assert (HEAVY | LAYERS | unneeded) & set(imported.split()) == set()
    assert set(built.split()) <= {"BaseModel", "LaunchConfig"}
