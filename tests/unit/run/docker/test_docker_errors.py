"""What `docker run` printed when it refused (recorded), and what we make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.plans import REFERENCE
from dsv4_launch.errors import HostError, ToolError
from dsv4_launch.run.docker.errors import refused

RECORDED = Path(__file__).parents[3] / "recorded" / "docker"


@pytest.mark.parametrize(
    ("file", "code", "kind", "fix"),
    [
        ("name-taken", "name-taken", HostError, "dsv4 status flash-b200"),
        ("port-taken", "port-taken", HostError, "server.port"),
        ("port-taken-by-process", "port-taken", HostError, "sport = :8000"),
        ("address-missing", "address-missing", HostError, "server.host"),
        ("unknown-runtime", "gpu-runtime", HostError, "Container Toolkit"),
        ("image-missing", "image-missing", ToolError, "docker pull vllm/vllm-openai:v0.20.0"),
        ("mount-missing", "mount-missing", HostError, "container.mounts"),
        ("engine-down", "engine-down", HostError, "systemctl start docker"),
    ],
)
def test_recorded_refusals(file: str, code: str, kind: type[Exception], fix: str) -> None:
    error = refused((RECORDED / f"{file}.txt").read_text(), REFERENCE)
    assert type(error) is kind
    (problem,) = error.problems
    assert problem.code == code
    assert fix in problem.fix
    assert "{" not in problem.message + problem.fix
    assert "docker run --help" not in problem.where


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', "gpu-driver"),
        ("unknown or invalid runtime name: nvidia", "gpu-runtime"),
        ("failed to bind host port for 127.0.0.1:8000:172.17.0.2:8000/tcp: address already in use", "port-taken"),
        ("permission denied while trying to connect to the Docker daemon socket at unix:///x", "engine-denied"),
        ("write /var/lib/docker/x: no space left on device", "disk-full"),
        (
            "failed to create task: could not inject CDI devices: unresolvable CDI devices nvidia.com/gpu=all",
            "gpu-driver",
        ),
        ('exec: "nvidia-container-runtime": executable file not found in $PATH', "gpu-runtime"),
        ("nvidia-container-cli: initialization error: nvml error: driver/library version mismatch", "driver-mismatch"),
        ("nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0", "driver-too-old"),
        ("nvidia-container-cli: device error: 9: unknown device: unknown", "gpu-missing"),
        ("nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1", "gpu-driver"),
    ],
)
def test_what_other_engines_say(text: str, code: str) -> None:
    assert refused(f"docker: Error response from daemon: {text}", REFERENCE).problems[0].code == code


def test_an_unknown_refusal_shows_the_last_lines() -> None:
    error = refused("docker: Error response from daemon: the moon is full\n\nRun 'docker run --help'", REFERENCE)
    assert isinstance(error, ToolError)
    assert "the moon is full" in error.problems[0].where
