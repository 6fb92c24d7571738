"""`dsv4 status CONFIG` says which values of what runs are not the config's, and not only that a digest differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsv4_launch.cli import drivers
from dsv4_launch.cli.configs import load_config
from dsv4_launch.cli.main import main
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.run.service import Seen, digest_of
from dsv4_launch.targets import render


class Ended:
    """A driver of one container that was launched from a config and has ended."""

    def __init__(self, config: Path) -> None:
        plan = resolve(load_config(str(config)))
        made = "2026-11-23T17:00:00Z"
        where = plan.base_url
        digest = digest_of(plan, render(plan))
        self.seen = Seen("x", "docker", "exited", digest, plan.config, "u", where, made, exit_code=0)

    def find(self, name: str) -> Seen | None:
        return self.seen if name == "x" else None

    def logs(self, name: str, **_: object) -> list[str]:
        return []


def write(path: Path, port: int, batched: int) -> Path:
    lines = ("name: x", "model: flash", 'vllm: "0.20.0"', "gpu: b200", "parallel: {tensor: 4}")
    path.write_text("\n".join((*lines, f"server: {{port: {port}}}", f"engine: {{max_num_batched_tokens: {batched}}}")))
    return path


def test_values_that_drift_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DSV4_STATE_DIR", str(tmp_path / "state"))
    runs = write(tmp_path / "x.yaml", 8000, 8192)
    monkeypatch.setattr(drivers, "_drivers", lambda _: iter([Ended(runs)]))
    other = write(tmp_path / "y.yaml", 8001, 4096)
    assert main(["status", str(runs), "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["deployments"][0]["drift"] == ""
    assert main(["status", str(other)]) == 0
    said = capsys.readouterr().out
    assert "drift     endpoint port 8000, not 8001; argument max_num_batched_tokens 8192, not 4096" in said
    assert str(other) in said
    assert main(["status", str(other), "--output", "json"]) == 0
    drift = json.loads(capsys.readouterr().out)["data"]["deployments"][0]["drift"]
    assert "max_num_batched_tokens 8192, not 4096" in drift
