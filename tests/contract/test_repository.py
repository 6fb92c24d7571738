"""The checkout keeps its promises: what it must hold is there, and what it must not hold is not."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.cli.main import app
from dsv4_launch.plan.resolve import resolve

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FILE = 300

REQUIRED = (
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "Dockerfile",
    "pyproject.toml",
    "docs/decisions.md",
    "docs/terminal.svg",
    "constraints/0.20.0.txt",
    "scripts/constraints.txt",
    "src/dsv4_launch/py.typed",
)
EXECUTABLE = (
    ".ci/run",
    "scripts/bench_cli.py",
    "scripts/make_tiny_model.py",
    "scripts/quickstart",
    "scripts/rig",
    "scripts/test",
    "scripts/vllm_cpu_env.py",
)
# The shapes of tokens that people leave in files: Hugging Face, OpenAI, GitHub, AWS, Slack, a private key.
SECRET = re.compile(
    rb"hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{32,}|gh[pousr]_[A-Za-z0-9]{36}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{20,}"
    rb"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def tracked() -> list[Path]:
    """Every committed file; in an export without git, every file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]


def commands() -> list[str]:
    """Every command of the program by the name that a user types, in groups too."""
    names = [command.name or "" for command in app.registered_commands]
    for group in app.registered_groups:
        inside = group.typer_instance.registered_commands if group.typer_instance else []
        names += [f"{group.name} {command.name}" for command in inside]
    return names


@pytest.mark.parametrize("name", REQUIRED)
def test_is_there_and_not_empty(name: str) -> None:
    assert (ROOT / name).is_file()
    assert (ROOT / name).stat().st_size or name.endswith("py.typed")


@pytest.mark.parametrize("name", EXECUTABLE)
def test_is_executable(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    assert (ROOT / name).read_bytes().startswith(b"#!")


@pytest.mark.parametrize("name", sorted(builtins()))
def test_built_in_config_resolves_and_says_what_it_is_for(name: str) -> None:
    plan = resolve(load_config(name))
    assert plan.name == name
    assert builtins()[name].read_text().startswith("# "), "its first line says what it is for"


def test_only_the_documented_deployment_trusts_remote_code() -> None:
    """The architecture is part of vLLM: code of a model repository is run only where the documented page says so."""
    trusting = {
        name
        for name in builtins()
        for argument in resolve(load_config(name)).arguments
        if argument.name == "trust_remote_code" and argument.value
    }
    assert trusting == {"flash-b200"}


def test_the_default_config_is_built_in() -> None:
    assert {"flash-b200", "rehearsal-cpu"} <= set(builtins())


@pytest.mark.parametrize("command", commands())
def test_readme_mentions_command(command: str) -> None:
    text = (ROOT / "README.md").read_text()
    mentioned = f"dsv4 {command}" in text or f"`{command}`" in text
    assert mentioned, f"README.md does not mention dsv4 {command}"


def test_readme_mentions_no_command_that_is_not_there() -> None:
    # In code only, where a command line is written: `dsv4 serve …` or a line of a block.
    written = re.findall(r"(?m)(?:^\s*(?:\$ )?|`)dsv4 ([a-z][a-z-]+)", (ROOT / "README.md").read_text())
    known = {command.split()[0] for command in commands()}
    assert set(written) <= known


def test_readme_mentions_every_exit_code() -> None:
    text = (ROOT / "README.md").read_text()
    assert [
        code for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130, 141) if not re.search(rf"(?m)^\| *{code} *\|", text)
    ] == []


def test_changelog_has_the_version_or_what_comes() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text()
    assert version in text or "## Unreleased" in text or "## [Unreleased]" in text


def test_no_committed_file_looks_like_a_secret() -> None:
    found = {str(path.relative_to(ROOT)) for path in tracked() if SECRET.search(path.read_bytes())}
    assert found == set()


def test_a_secret_would_be_found() -> None:
    assert SECRET.search(b"token: " + b"hf_" + b"a" * 34)
    assert SECRET.search(b"-----BEGIN RSA " + b"PRIVATE KEY-----")


def test_no_long_source_file() -> None:
    source = ROOT / "src"
    long = {
        str(p.relative_to(ROOT)): n for p in source.rglob("*.py") if (n := p.read_text().count("\n")) > LONGEST_FILE
    }
    assert long == {}


def test_no_wheel_archive_or_large_file_is_committed() -> None:
    unwanted = (".whl", ".safetensors", ".tar", ".gz", ".zip", ".so")
    found = [p.name for p in tracked() if p.suffix in unwanted or p.stat().st_size > 1_000_000]
    assert found == []


def test_pinned_versions_satisfy_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    lines = (ROOT / "scripts/constraints.txt").read_text().splitlines()
    pinned = dict(line.split(" ")[0].split("==") for line in lines if "==" in line and line[0] != "#")
    wrong = {r.name: had for r in asked if not r.specifier.contains(had := pinned.get(canonicalize_name(r.name), "0"))}
    assert wrong == {}
