"""What is told of each service at one moment."""

from __future__ import annotations

import pytest

from dsv4_launch.cli.service import status_now, status_watch
from dsv4_launch.cli.service.statuses import Judged
from dsv4_launch.run.service import Seen
from dsv4_launch.run.status.metrics import Metrics
from dsv4_launch.run.status.status import Status

# One deployment of a name in a container, and one of the same name beside it: each has its own server.
BOTH = [
    Judged(
        Seen("x", target, "running", "d", {}, "u", f"http://127.0.0.1:{port}", "2026-11-25T17:00:00Z"),
        Status("x", "ready", target=target),
    )
    for target, port in (("docker", 8000), ("native", 8001))
]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float | None, float]]:
    """What was told of each target: the moments of the scrapes before and after."""
    told: list[tuple[str, float | None, float]] = []
    ports = {"docker": 0.0, "native": 1000.0}
    rounds = dict.fromkeys(ports, 0)

    def scraped(seen: Seen) -> Metrics:
        rounds[seen.target] += 1
        return Metrics(ports[seen.target] + rounds[seen.target])

    def tell(one: Judged, before: Metrics | None, after: Metrics, _nvml: object) -> Status:
        told.append((one.status.target, before and before.at_s, after.at_s))
        return one.status

    monkeypatch.setattr(status_now, "scraped", scraped)
    monkeypatch.setattr(status_now, "told", tell)
    monkeypatch.setattr(status_now.time, "sleep", lambda _s: None)
    return told


def test_two_of_one_name_have_their_own_metrics(given: list[tuple[str, float | None, float]]) -> None:
    status_now.complete(BOTH, 1.0)
    assert given == [("docker", 1.0, 2.0), ("native", 1001.0, 1002.0)]


def test_two_of_one_name_are_watched_apart(
    given: list[tuple[str, float | None, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_watch.statuses, "judge", lambda *_: (BOTH, None))
    rounds = status_watch._Rounds(None, None, 10.0)
    rounds.next()
    rounds.next()
    assert given[-2:] == [("docker", 1.0, 2.0), ("native", 1001.0, 1002.0)]
