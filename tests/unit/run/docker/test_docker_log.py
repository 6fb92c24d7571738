"""The log of a container: lines from chunks, and what is followed over its restarts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from dsv4_launch.run.docker.log import epoch_s, follow, lines


def test_lines_from_chunks() -> None:
    chunks = [
        b"one\ntw",
        b"o\n",
        "drei \N{BLACK SQUARE}".encode()[:-1],
        "drei \N{BLACK SQUARE}".encode()[-1:],
        b"\r\nrest",
    ]
    assert list(lines(chunks)) == ["one", "two", "drei \N{BLACK SQUARE}", "rest"]


def test_the_engines_time() -> None:
    assert epoch_s("2026-11-25T10:00:00.123456789Z") == pytest.approx(1795600800.123456, abs=1e-5)
    assert epoch_s("2026-11-25T10:00:00Z") == 1795600800


def second(n: float) -> str:
    return f"2026-11-25T10:00:{n:09.6f}Z"


@dataclass
class Engine:
    """A container with these lives, from a second to a second; ``now`` goes on as its log is read and waited for."""

    lives: list[tuple[float, float]]
    said: list[tuple[float, str]]
    now: float = 0.0
    asked: list[Any] = field(default_factory=list)

    def inspect_container(self, _name: str) -> Any:
        begun = [life for life in self.lives if life[0] <= self.now]
        ended = [life[1] for life in self.lives if life[1] <= self.now]
        running = len(ended) < len(begun)
        state = {"StartedAt": second(begun[-1][0]), "FinishedAt": second(ended[-1] if ended else 0), "Running": running}
        return {"State": state}

    def logs(self, _name: str, *, tail: Any, since: float | None, **_: object) -> Iterator[bytes]:
        self.asked.append((tail, since))
        first = self.now if tail == 0 else (since or 0) - epoch_s(second(0))
        end = next((end for begin, end in self.lives if begin <= self.now < end), self.now)
        self.now = max(self.now, end)
        return iter([f"{text}\n".encode() for at, text in self.said if first <= at <= end])

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def followed(engine: Engine, until_s: float) -> list[str]:
    api = SimpleNamespace(inspect_container=engine.inspect_container, logs=engine.logs)
    return list(follow(api, "x", lambda: engine.now > until_s, engine.sleep))


def test_what_a_second_life_says_before_it_is_seen_is_not_lost() -> None:
    # It is over before anybody looks again, half a second after the first one.
    engine = Engine([(0, 5), (5.1, 5.3)], [(1, "one"), (5.2, "two")])
    assert followed(engine, 9) == ["one", "two"]
    assert [tail for tail, _ in engine.asked] == [0, "all"], "one that has ended is read once"


def test_only_what_comes_is_followed() -> None:
    engine = Engine([(0, 5), (6, 8)], [(1, "old"), (3, "new"), (7, "newer")], now=2)
    assert followed(engine, 9) == ["new", "newer"]


def test_a_container_that_is_gone_ends_it() -> None:
    def gone(_name: str) -> Any:
        raise OSError("no such container")

    with pytest.raises(OSError, match="no such"):
        list(follow(SimpleNamespace(inspect_container=gone), "x", lambda: False))
