"""`dsv4 doctor` and `dsv4 facts diff` on the hosts that ship: what each is for is what it is told."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dsv4_launch.checks.base import CHECKS
from dsv4_launch.cli.fact_files import read_facts, shipped
from dsv4_launch.cli.main import main

FAULTS = {
    "hgx-b200": set(),
    "hgx-b200-4-busy": {"GPU006"},
    "hgx-b200-fabric-down": {"FAB001"},
    "hgx-b200-fabric-mismatch": {"FAB001"},
    "hgx-b200-no-toolkit": {"CTR003"},
    "b200-3-gpus": {"GPU003"},
    "hgx-h100": {"GPU002"},
    "hgx-h200": {"GPU002"},
    "hgx-b200-mig": {"GPU005"},
    "hgx-b200-small-disk": {"CTR004", "DSK001", "DSK002"},
    "hgx-b200-nfs-cache": {"DSK003", "DSK004"},
    "rtx-pro-6000": {"GPU002"},
}
ONLY_WARNED = {"hgx-b200-nfs-cache"}


def script(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_every_shipped_host_is_what_the_script_constructs() -> None:
    module = script("construct_hosts")
    made = {name: module.text(facts) for name, facts in module.hosts().items()}
    assert made == shipped()
    assert set(made) == set(FAULTS)


def test_the_page_of_the_checks_is_up_to_date() -> None:
    page = script("write_checks")
    assert page.TARGET.read_text() == page.text()
    assert all(f"**{code}**" in page.text() for code in CHECKS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_shipped_host_says_that_it_was_constructed(name: str) -> None:
    facts = read_facts(name)
    assert facts.origin == "constructed"
    assert "onstructed" in (facts.note or "")


@pytest.mark.parametrize("name", FAULTS)
def test_doctor_finds_on_a_shipped_host_what_it_is_for(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "doctor", "flash-b200", "--facts", name, "--output", "json")
    data = json.loads(out)
    checks = data["data"]["checks"]
    assert {c["code"] for c in checks if c["status"] == "failed"} == FAULTS[name]
    assert code == data["exit_code"] == (5 if FAULTS[name] and name not in ONLY_WARNED else 0)
    assert {e["code"] for e in data["errors"]} <= FAULTS[name]
    assert err == ""
    assert data["data"]["host"]["origin"] == "constructed"


def test_faults_come_first_and_a_warning_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--facts", "hgx-b200-small-disk")
    lines = out.splitlines()
    assert code == 5
    assert lines[0].startswith("  FAILED   DSK001 ")
    assert "/data has 14000 GB free" in lines[1]
    marks = [line[2:10].strip() for line in lines if line[2:3].strip() and line.startswith("  ")]
    assert marks == sorted(marks, key=["FAILED", "warning", "ok"].index)
    assert marks.count("warning") == 2
    counts = f"{marks.count('ok')} ok, 2 warning"
    assert lines[-1] == f"flash-b200 cannot be launched on the constructed host hgx-b200-small-disk: DSK001 ({counts})"


def test_a_terminal_gets_the_same_in_a_table(capsys, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _self: True)
    code, out, _ = run(capsys, "doctor", "--facts", "hgx-b200-fabric-mismatch")
    assert code == 5
    assert "\x1b" in out
    assert out.index("FAB001") < out.index("CTR001")
    assert "→ " in out
    assert "nvidia-fabricmanager" in out


def test_a_skip_lets_it_pass_and_stands_in_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor", "--facts", "hgx-b200-mig", "--skip", "GPU005=a lab node")
    assert code == 0
    assert "  skipped  GPU005  MIG is enabled on GPUs 0,1,2,3, the plan needs whole GPUs (a lab node)" in out


def test_what_a_record_does_not_know_is_unknown_and_forbids_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--set", "server.port=8123", "--set", "name=other", "--facts", "hgx-b200"]
    code, out, _ = run(capsys, "doctor", *words)
    assert code == 0
    assert "  unknown  CTR005 " in out
    assert "docker.containers.other is not known (these facts do not say)" in out
    code, _, err = run(capsys, "validate", "flash-b200", "--facts", "hgx-b200", "--set", "server.port=8123")
    assert code == 0
    assert "does not tell whether NET001 would pass" in err


def test_validate_judges_on_a_recorded_host(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "validate", "flash-b200", "--facts", "hgx-b200-mig", "--output", "json")
    assert (code, err) == (5, "")
    data = json.loads(out)
    assert [error["code"] for error in data["errors"]] == ["GPU005"]
    assert data["data"]["files"][0]["ok"] is False


def test_a_dry_run_judges_a_recorded_host(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "serve", "--dry-run", "--facts", "hgx-b200-nfs-cache")
    assert code == 0
    assert "  warning  DSK003 " in out
    assert "FAILED" not in out
    assert "would run: docker run" in out
    assert run(capsys, "serve", "--dry-run", "--facts", "hgx-b200-4-busy")[0] == 5


def test_a_config_of_the_other_gpu_is_well_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "doctor", "flash-h200", "--facts", "hgx-h200")
    assert code == 0, out + err
    assert "FAILED" not in out


def test_two_hosts_differ_in_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "facts", "diff", "hgx-b200", "hgx-b200-fabric-mismatch", "--config", "flash-b200")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "gpus.*.fabric_state: completed -> in progress",
        "fabric_manager.version: 580.95.05 -> 580.65.06",
        "fabric_manager.running: true -> false",
        "check FAB001: passed -> failed",
    ]


def test_what_moves_by_itself_is_no_difference(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = json.loads(shipped()["hgx-b200"])
    data |= {"origin": "recorded", "taken_at": "2026-01-01T00:00:00Z"}
    data["gpus"][3] |= {"uuid": "GPU-x", "memory_free_mib": 180000}
    data["disks"]["weights"]["free_bytes"] -= 10**11
    (tmp_path / "b.json").write_text(json.dumps(data))
    code, out, _ = run(capsys, "facts", "diff", "hgx-b200", str(tmp_path / "b.json"), "--check")
    assert (code, out) == (0, "They differ in nothing that matters.\n")
    data["gpus"][3]["row_remap"]["pending"] = True
    (tmp_path / "b.json").write_text(json.dumps(data))
    code, out, _ = run(capsys, "facts", "diff", "hgx-b200", str(tmp_path / "b.json"), "--check")
    assert code == 10
    assert "gpus.3.row_remap.pending: false -> true" in out


def test_a_newer_record_is_read_and_what_was_left_out_is_said(capsys, tmp_path: Path) -> None:
    data = json.loads(shipped()["hgx-b200"]) | {"schema_version": 7, "weather": "sunny"}
    (tmp_path / "new.json").write_text(json.dumps(data))
    code, _, err = run(capsys, "doctor", "--facts", str(tmp_path / "new.json"))
    assert code == 0
    assert "left out: weather" in err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "origin": 7}', "\x00"])
def test_a_broken_record_ends_with_3_and_its_path(text: str, capsys, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    code, out, err = run(capsys, "doctor", "--facts", str(path))
    assert (code, out) == (3, "")
    assert str(path) in err
