"""The events of a pull: one total of all layers, errors with their reason, an end where nothing moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dsv4_launch.errors import ToolError
from dsv4_launch.run.images import follow, pull_failed
from dsv4_launch.run.progress import Now


class Shown:
    def __init__(self) -> None:
        self.now: list[Now] = []

    def say(self, text: str) -> None:
        """Not looked at."""

    def show(self, now: Now) -> None:
        self.now.append(now)

    def close(self) -> None:
        """Not looked at."""


def event(layer: str, status: str, current: int = 0, total: int = 0) -> Mapping[str, Any]:
    detail = {"current": current, "total": total} if total else {}
    return {"id": layer, "status": status, "progressDetail": detail}


def test_one_total_of_all_layers() -> None:
    shown = Shown()
    events = [
        {"id": "v1", "status": "Pulling from team/x"},
        event("a", "Pulling fs layer"),
        event("b", "Already exists"),
        event("a", "Downloading", 10, 100),
        event("c", "Downloading", 50, 50),
        event("a", "Download complete"),
        event("a", "Extracting", 3, 900),
        event("a", "Pull complete"),
    ]
    follow(events, "x:v1", shown, 60)
    assert [now.done for now in shown.now] == [0, 0, 0, 10, 60, 150, 150, 150]
    assert (shown.now[-1].total, shown.now[-1].detail) == (150, "2 of 3 layers ready")


def test_retrying_again_and_again_is_no_progress() -> None:
    times = iter(range(0, 1000, 10))
    events = (event("a", f"Retrying in {n} seconds") for n in range(50))
    with pytest.raises(ToolError) as stalled:
        follow(events, "x:v1", Shown(), 60, lambda: float(next(times)))
    assert stalled.value.problems[0].code == "pull-stalled"


def test_silence_is_no_progress_but_unpacking_is() -> None:
    times = iter(range(0, 10000, 10))
    unpacking = [event("a", "Extracting", n, 900) for n in range(1, 50)]
    follow(unpacking, "x:v1", Shown(), 60, lambda: float(next(times)))
    with pytest.raises(ToolError):
        follow([None] * 50, "x:v1", Shown(), 60, lambda: float(next(times)))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("manifest for vllm/vllm-openai:v9 not found: manifest unknown: manifest unknown", "image-not-found"),
        ("pull access denied for x, repository does not exist or may require 'docker login'", "registry-denied"),
        ("toomanyrequests: You have reached your pull rate limit.", "registry-rate-limit"),
        ('Get "https://registry-1.docker.io/v2/": dial tcp: lookup x: no such host', "registry-unreachable"),
        ("net/http: TLS handshake timeout", "registry-unreachable"),
        ("failed to register layer: write /usr/lib/x: no space left on device", "disk-full"),
        ("the moon is full", "image-pull"),
    ],
)  # fmt: skip
def test_why_a_pull_failed(said: str, code: str) -> None:
    (problem,) = pull_failed("team/x:v1", said).problems
    assert problem.code == code
    assert said in problem.where
    with pytest.raises(ToolError) as failed:
        follow([{"error": said}], "team/x:v1", Shown(), 60)
    assert failed.value.problems[0] == problem
