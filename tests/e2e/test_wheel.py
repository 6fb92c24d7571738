"""The wheel as a user gets it: in a fresh environment, away from the checkout, it says what the checkout says."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def uv() -> Path:
    found = subprocess.run([sys.executable, ROOT / "scripts/get_uv.py"], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


@pytest.fixture(scope="module")
def uv_env() -> dict[str, str]:
    code = "import json, get_uv; print(json.dumps(get_uv.uv_env()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def wheel(uv: Path, uv_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    # From the sdist, as `uv build` does by default: what the sdist leaves out is then missing here.
    subprocess.run([uv, "build", "-q", "--out-dir", out, ROOT], check=True, cwd=out, env=uv_env)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(uv: Path, uv_env: dict[str, str], wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `dsv4` of a fresh environment that holds nothing but the wheel and its dependencies."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, venv], check=True, env=uv_env)
    python, constraints = venv / "bin/python", ROOT / "scripts/constraints.txt"
    subprocess.run([uv, "pip", "install", "-q", "--python", python, "-c", constraints, wheel], check=True, env=uv_env)
    return venv / "bin/dsv4"


def dsv4(program: str | Path, *arguments: str, cwd: Path) -> str:
    """What it prints, without the environment of the test run."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "LANG": "C.UTF-8"}
    done = subprocess.run([program, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_every_data_file_of_the_checkout(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"dsv4_launch/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    wanted |= {f"dsv4_launch/constraints/{path.name}" for path in (ROOT / "constraints").glob("*.txt")}
    source = ROOT / "src/dsv4_launch"
    wanted |= {
        f"dsv4_launch/{path.relative_to(source)}"
        for path in source.rglob("*")
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(source).parts)
    }
    assert wanted <= held, f"missing in the wheel: {sorted(wanted - held)}"
    assert any("licenses/LICENSE" in name for name in held)


def test_it_holds_nothing_else(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"dsv4_launch"}


def test_it_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES


def test_it_says_its_version(installed: Path, wheel: Path, tmp_path: Path) -> None:
    assert dsv4(installed, "--version", cwd=tmp_path).split() == ["dsv4", wheel.name.split("-")[1]]


@pytest.mark.parametrize("target", ["docker", "native"])
def test_it_renders_what_the_checkout_renders(installed: Path, tmp_path: Path, target: str) -> None:
    checkout = Path(sys.executable).parent / "dsv4"
    ours = dsv4(installed, "render-cmd", "--target", target, cwd=tmp_path)
    assert ours == dsv4(checkout, "render-cmd", "--target", target, cwd=tmp_path)
    assert "deepseek-ai/DeepSeek-V4-Flash" in ours


def test_it_validates_its_own_configs_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    names = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    said = dsv4(installed, "validate", *names, cwd=tmp_path)
    assert [line for line in said.splitlines() if line.endswith(": valid")] == [f"{name}.yaml: valid" for name in names]


def test_it_brings_no_test_or_development_package(installed: Path) -> None:
    present = {
        path.name.split("-")[0].lower() for path in installed.parents[1].glob("lib/python3*/site-packages/*.dist-info")
    }
    assert not present & {"pytest", "mypy", "ruff", "hypothesis", "vllm", "torch"}
