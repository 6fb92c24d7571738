"""A watch: who starts a server again, when it is given up, what is told. Time passes by sleeping only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from doubles import FakeDriver, service, ticking

from dsv4_launch.config.watch import Watch
from dsv4_launch.errors import Dsv4Error, HostError, ServerError, ToolError
from dsv4_launch.facts import KernelError
from dsv4_launch.run.endpoint import Answer
from dsv4_launch.run.service import Seen
from dsv4_launch.run.status.metrics import Metrics, MetricsError
from dsv4_launch.run.watch import state as watch_state
from dsv4_launch.run.watch.event import Event
from dsv4_launch.run.watch.subject import End, Subject
from dsv4_launch.run.watch.watcher import Watcher

UP = service()
DEAD = service(life="exited", exit_code=1)
STOPPED = service(life="exited", exit_code=0, stopped=True)
STUCK = Metrics(0.0, running=1, waiting=0, generation_tokens=7)
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


class Watched:
    """A watcher, what it did and what it said."""

    def __init__(
        self,
        *finds: Seen | None,
        policy: Watch | None = None,
        metrics: Callable[[], Metrics] = lambda: Metrics(0.0, running=0),
        refuses: int = 0,
        lines: list[str] | None = None,
    ) -> None:
        self.driver = FakeDriver(list(finds), lines=lines or [])
        self.said: list[str] = []
        self.events: list[Event] = []
        self.started: list[Seen] = []
        self.refuses = refuses
        clock = ticking()
        subject = Subject(self.driver, "x", self._start, self.events.append, {"DSV4_STATE_DIR": "/nowhere"}, "node7")
        self.watcher = Watcher(
            subject,
            policy or Watch(backoff_s=1, max_restarts=2),
            self.said.append,
            clock,
            clock.now,
            lambda *_: Answer("ready"),
            lambda *_: metrics(),
        )

    def _start(self, found: Seen) -> None:
        self.started.append(found)
        if self.refuses:
            self.refuses -= 1
            raise ToolError("The Docker engine refused: no.")

    def run(self) -> str:
        return self.watcher.run().why


@pytest.fixture(autouse=True)
def without_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_state, "read", lambda _t, _n, created, _e: watch_state.Memory(created))
    monkeypatch.setattr(watch_state, "write", lambda *_: None)


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (None, "x was removed"),
        (STOPPED, "x was stopped"),
        (service(life="exited", exit_code=0), "x ended by itself, with exit code 0"),
    ],
)
def test_what_was_stopped_is_not_started_again(last: Seen | None, why: str) -> None:
    watched = Watched(UP, UP, last)
    assert watched.run() == why
    assert (watched.started, watched.events) == ([], [])


def test_what_died_is_started_again_and_told() -> None:
    watched = Watched(UP, DEAD, DEAD, UP, UP, None, lines=[OOM])
    assert watched.run() == "x was removed"
    assert watched.started == [DEAD]
    (event,) = watched.events
    assert (event.event, event.exit_code, event.host) == ("died", 1, "node7")
    assert event.action == "It is started again in 1 s (1 of at most 2)."
    assert event.advisory
    assert event.hint


def test_a_broken_gpu_explains_a_death_before_its_log_does() -> None:
    watched = Watched(UP, DEAD, DEAD, UP, UP, None, lines=[OOM])
    fallen = KernelError(kind="xid", number=79, pci="0000:1b:00", count=1, text="GPU has fallen off the bus.")
    watched.watcher.subject = replace(watched.watcher.subject, kernel=lambda _: (fallen,))
    watched.run()
    assert watched.events[0].advisory == "D67"


def test_a_crash_loop_is_given_up_with_what_explains_it() -> None:
    watched = Watched(DEAD, lines=[OOM])
    with pytest.raises(ServerError, match="again and again") as failed:
        watched.run()
    assert failed.value.exit_code == 7
    assert failed.value.problems[0].code == "crash-loop"
    assert failed.value.problems[1].code == watched.events[-1].advisory
    assert len(watched.started) == 2
    assert [event.event for event in watched.events] == ["died", "died", "crash-loop"]


def test_a_start_that_fails_counts_as_a_restart() -> None:
    watched = Watched(DEAD, refuses=9)
    with pytest.raises(ServerError):
        watched.run()
    assert len(watched.started) == 2
    assert "could not be started again: The Docker engine refused: no" in watched.events[1].message


def test_what_its_own_supervisor_starts_again_is_only_counted() -> None:
    own = service(restart="on-failure")
    watched = Watched(own, replace(own, restarts=1), replace(own, restarts=2), None)
    assert watched.run() == "x was removed"
    assert watched.started == []
    assert [event.action for event in watched.events] == ["Its restart policy (on-failure) starts it again."] * 2


def test_a_crash_loop_of_its_own_supervisor_is_stopped() -> None:
    own = service(restart="always")
    watched = Watched(own, *(replace(own, restarts=n) for n in range(1, 5)))
    with pytest.raises(ServerError, match="2 restarts did not help"):
        watched.run()
    assert watched.driver.calls == ["stop"]
    assert watched.events[-1].action == "It is given up and stopped."


def test_a_restart_policy_that_has_given_up_is_not_continued() -> None:
    watched = Watched(replace(DEAD, restart="on-failure:3"))
    with pytest.raises(ServerError, match="on-failure:3"):
        watched.run()
    assert watched.started == []


OTHER = service(created="2026-11-23T18:00:00Z")


def test_another_launch_is_for_another_watch() -> None:
    assert Watched(UP, UP, OTHER).watcher.run() == End("x was replaced by another launch", changed=True)
    watched = Watched(UP, DEAD, OTHER)
    assert watched.watcher.run().changed
    assert watched.started == []


@pytest.mark.parametrize(
    ("meanwhile", "after", "end"),
    [
        # Stopped, its log saved, removed, another one launched: none of it is an end, or a death to mend.
        ((STOPPED, STOPPED, None, OTHER), OTHER, End("x was replaced by another launch", changed=True)),
        ((STOPPED, None), None, End("x was removed", changed=True)),  # the change was cut off
        ((UP, UP), STOPPED, End("x was stopped")),  # refused before it changed anything; stopped later
        ((DEAD,), None, End("x was removed", changed=True)),
    ],
)
def test_a_change_is_waited_for(meanwhile: tuple[Seen | None, ...], after: Seen | None, end: End) -> None:
    watched = Watched(UP, UP, *meanwhile, after)
    looks = iter([None, *["process 7 of u"] * len(meanwhile)])
    watched.watcher.subject = replace(watched.watcher.subject, changer=lambda _: next(looks, None))
    assert watched.watcher.run() == end
    assert watched.started == []
    assert watched.said == ["x is ready.", "x is being changed by process 7 of u; the watch waits."]


def test_what_is_changed_while_a_restart_waits_is_not_started_again() -> None:
    watched = Watched(UP, DEAD, DEAD, OTHER)
    looks = iter([None, "process 7 of u"])
    watched.watcher.subject = replace(watched.watcher.subject, changer=lambda _: next(looks, None))
    assert watched.watcher.run().changed
    assert watched.started == []


def test_started_by_hand_meanwhile() -> None:
    watched = Watched(UP, DEAD, UP, None)
    watched.run()
    assert watched.started == []


def test_stopped_while_it_waits_to_start_again() -> None:
    watched = Watched(UP, DEAD, STOPPED)
    assert watched.run() == "x was stopped"
    assert watched.started == []


def test_without_restart_its_death_is_told_and_ends_the_watch() -> None:
    watched = Watched(DEAD, policy=Watch(restart=False))
    with pytest.raises(ServerError, match="x died: exit code 1"):
        watched.run()
    assert [event.event for event in watched.events] == ["died"]


def run_for(watched: Watched, looks: int) -> None:
    """Let it look so many times, then remove the service."""
    watched.driver.finds = [UP] * looks + [None]
    watched.run()


def test_a_hang_is_reported_once() -> None:
    watched = Watched(policy=Watch(hang_s=20), metrics=lambda: STUCK)
    run_for(watched, 40)
    (event,) = watched.events
    assert event.event == "hang"
    assert "no token was counted" in event.message
    assert watched.started == []


def test_a_hang_is_restarted_if_the_config_says_so() -> None:
    watched = Watched(policy=Watch(hang_s=20, on_hang="restart", max_restarts=1), metrics=lambda: STUCK)
    with pytest.raises(ServerError, match="it hangs"):
        run_for(watched, 80)
    assert watched.started == [UP]
    assert [event.event for event in watched.events] == ["hang", "crash-loop"]


def never_ready(watched: Watched, start_s: float) -> Watched:
    watched.watcher.subject = replace(watched.watcher.subject, start_s=start_s)
    watched.watcher.asks = lambda *_: Answer("silent")
    return watched


def test_a_start_that_takes_longer_than_it_may_is_told_once() -> None:
    watched = never_ready(Watched(), 60)
    run_for(watched, 100)
    (event,) = watched.events
    assert (event.event, watched.started) == ("hang", [])
    assert event.message.startswith("it hangs: it has been starting for 6")
    quick = never_ready(Watched(), 1000)
    run_for(quick, 100)
    assert quick.events == []


def test_a_start_that_hangs_is_restarted_if_the_config_says_so() -> None:
    watched = never_ready(Watched(policy=Watch(on_hang="restart", max_restarts=1, backoff_s=1)), 60)
    with pytest.raises(ServerError, match="it has been starting"):
        run_for(watched, 200)
    assert watched.started == [UP]
    assert [event.event for event in watched.events] == ["hang", "crash-loop"]


def test_a_server_that_does_not_answer_any_more_hangs() -> None:
    def silent() -> Metrics:
        raise MetricsError("timed out")

    watched = Watched(policy=Watch(hang_s=20), metrics=silent)
    run_for(watched, 40)
    assert "has not answered" in watched.events[0].message


@pytest.mark.parametrize(
    "error",
    [
        HostError("The engine is down.", code="engine-down"),
        # As an engine answers that is just starting or stopping.
        ToolError("The engine is down.", code="docker-engine"),
    ],
)
def test_an_engine_that_is_away_is_waited_for(error: Dsv4Error) -> None:
    watched = Watched()
    seen: list[Seen | Dsv4Error | None] = [UP, error, UP, None]

    def find(_name: str) -> Seen | None:
        found = seen.pop(0)
        if isinstance(found, Dsv4Error):
            raise found
        return found

    watched.driver.find = find  # type: ignore[method-assign]
    assert watched.run() == "x was removed"
    assert "warning: The engine is down. Asking again until it answers." in watched.said
    assert "x can be seen again." in watched.said
