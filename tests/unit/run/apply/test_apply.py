from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from dsv4_launch.errors import Dsv4Error, HostError, Interrupted, ServerError, SmokeError
from dsv4_launch.facts import HostFacts
from dsv4_launch.plan.types import Plan, Variable
from dsv4_launch.run import lifecycle
from dsv4_launch.run.apply import apply as applying
from dsv4_launch.run.apply.change import Applied, Change, Fallback, Judged
from dsv4_launch.run.endpoint import Answer
from dsv4_launch.run.history.entries import Entry, entry_of, last_healthy
from dsv4_launch.run.interrupts import Held
from dsv4_launch.run.service import Seen, digest_of
from dsv4_launch.run.start.readiness import Ready
from dsv4_launch.run.world import Options, World
from dsv4_launch.targets import render
from dsv4_launch.values import Command
from unit.run.doubles import PLACES, PLAN, Told, service

OLD = replace(PLAN, port=8000)
NEW = replace(PLAN, port=8001)


@dataclass
class Engine:
    """One name, and what runs under it."""

    runs: Plan | None = OLD
    calls: list[str] = field(default_factory=list)
    refuses: dict[int, Exception] = field(default_factory=dict)

    def find(self, name: str) -> Seen | None:
        if self.runs is None:
            return None
        return service(digest=digest_of(self.runs, render(self.runs)), base_url=self.runs.base_url)

    def pids(self, name: str) -> frozenset[int]:
        return frozenset({7})

    def create(self, name: str, command: Command, environ: Mapping[str, str], plan: Plan | None = None) -> None:
        assert plan is not None
        self.calls.append(f"create {plan.port}")
        if plan.port in self.refuses:
            raise self.refuses[plan.port]
        self.runs = plan

    def logs(self, name: str, **_: object) -> list[str]:
        return []

    def stop(self, name: str, timeout_s: float) -> None:
        self.calls.append("stop")

    def remove(self, name: str) -> None:
        self.calls.append("remove")
        self.runs = None


class Kept:
    """A history in memory."""

    def __init__(self) -> None:
        digest = digest_of(OLD, render(OLD))
        self.added = [entry_of(OLD, digest, user="u", image_digest="", outcome="healthy", why="", by="serve")]

    def add(self, name: str, entry: Entry) -> Entry:
        self.added.append(entry)
        return entry

    def entries(self, name: str) -> list[Entry]:
        return self.added


class Scene:
    """A change from OLD to NEW, and what happens in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine, self.history, self.told = Engine(), Kept(), Told()
        self.ready: dict[int, BaseException] = {}
        self.smoke: BaseException | None = None
        self.changing: Callable[[str], contextlib.AbstractContextManager[None]] = lambda _: contextlib.nullcontext()
        self.fallback: Fallback | None = Fallback(OLD, digest_of(OLD, render(OLD)))
        monkeypatch.setattr(applying, "fetch", lambda *_, **__: None)
        monkeypatch.setattr(applying, "ask", lambda *_, **__: Answer("ready"))
        monkeypatch.setattr(lifecycle, "wait_until_ready", self._wait)

    def _wait(self, _driver: object, plan: Plan, **_: object) -> Ready:
        if plan.port in self.ready:
            raise self.ready[plan.port]
        return Ready(1.0, ("m",))

    def _smoke(self, _plan: Plan) -> str:
        if self.smoke:
            raise self.smoke
        return "fine"

    def apply(self) -> Applied:
        old = self.engine.find("x")
        assert old is not None
        change = Change(old, self.engine, NEW, self.fallback, self._smoke, save_log=False)  # type: ignore[arg-type]
        facts = HostFacts(origin="constructed")
        world = World(
            PLACES,
            {},
            self.engine,  # type: ignore[arg-type]
            lambda _: facts,
            history=self.history,  # type: ignore[arg-type]
            changing=self.changing,
        )
        judged = Judged(HostFacts(origin="constructed"), {})
        return applying.apply(change, judged, lambda _: world, Options(by="apply"), self.told)

    def fails(self, kind: type[Dsv4Error]) -> list[str]:
        with pytest.raises(kind) as caught:
            self.apply()
        return [problem.code for problem in caught.value.problems]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(entry.by, entry.outcome) for entry in self.history.added[1:]]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def died() -> ServerError:
    return ServerError("x ended", code="server-died")


def test_a_good_change_stops_the_old_first_and_measures_the_downtime(scene: Scene) -> None:
    done = scene.apply()
    assert scene.engine.calls == ["stop", "remove", "create 8001"]
    assert (done.state, done.smoke, done.downtime_s is not None) == ("applied", "fine", True)
    assert scene.outcomes == [("apply", "healthy")]
    assert any("60" in text or "30" in text for text in scene.told.said), "how long requests have is said"


def test_what_nobody_waited_for_and_was_healthy_can_be_gone_back_to_later(scene: Scene) -> None:
    digest = digest_of(OLD, render(OLD))
    scene.fallback = Fallback(OLD, digest, "sha256:1")
    scene.history.added[:] = [replace(scene.history.added[0], outcome="detached")]
    scene.apply()
    found = last_healthy(scene.history.added, but=digest_of(NEW, render(NEW)))
    assert found is not None
    assert (found.digest, found.image_digest, found.by) == (digest, "sha256:1", "seen before apply")


@pytest.mark.parametrize("dies", [False, True])
def test_the_name_is_held_from_the_stop_until_it_is_clear_what_runs(scene: Scene, dies: bool) -> None:
    @contextlib.contextmanager
    def changing(name: str) -> Iterator[None]:
        scene.engine.calls.append(f"hold {name}")
        try:
            yield
        finally:
            scene.engine.calls.append("let go")

    scene.changing = changing
    scene.ready.update({8001: died()} if dies else {})
    with contextlib.suppress(ServerError):
        scene.apply()
    last = "create 8000" if dies else "create 8001"
    assert scene.engine.calls[:2] == ["hold x", "stop"]
    assert scene.engine.calls[-2:] == [last, "let go"]


def test_what_somebody_else_changes_is_not_touched(scene: Scene) -> None:
    def changing(name: str) -> contextlib.AbstractContextManager[None]:
        raise HostError(f"{name} is being changed", code="changing")

    scene.changing = changing
    assert scene.fails(HostError) == ["changing"]
    assert scene.engine.calls == []


def test_one_that_dies_is_rolled_back(scene: Scene) -> None:
    scene.ready[8001] = died()
    codes = scene.fails(ServerError)
    assert (codes[0], codes[-1]) == ("server-died", "rolled-back")
    assert scene.engine.runs == OLD
    assert scene.engine.calls == ["stop", "remove", "create 8001", "stop", "remove", "create 8000"]
    assert scene.outcomes == [("apply", "failed"), ("apply, rolled back", "healthy")]


def test_one_that_answers_wrongly_is_rolled_back(scene: Scene) -> None:
    scene.smoke = SmokeError("no tools")
    assert scene.fails(SmokeError) == ["smoke", "rolled-back"]
    assert scene.engine.runs == OLD
    assert scene.outcomes == [("apply", "failed"), ("apply, rolled back", "healthy")]


def test_without_anything_healthy_to_go_back_to_that_is_said(scene: Scene) -> None:
    scene.ready[8001], scene.fallback = died(), None
    assert scene.fails(ServerError)[-1] == "not-rolled-back"
    assert scene.engine.runs is None


def test_a_rollback_that_fails_is_said_too(scene: Scene) -> None:
    scene.ready = {8001: died(), 8000: died()}
    assert scene.fails(ServerError)[-1] == "not-rolled-back"


def test_ctrl_c_while_the_old_one_is_stopped_brings_it_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def hold() -> Iterator[Held]:
        held = Held()
        yield held
        held.note(2, None)  # not by a signal: tests may run beside the main thread

    monkeypatch.setattr(applying, "hold", hold)
    assert scene.fails(Interrupted) == ["interrupted", "rolled-back"]
    assert scene.engine.calls == ["stop", "remove", "create 8000"]


def test_ctrl_c_heard_as_soon_as_the_old_one_is_stopped_brings_it_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def hold() -> Iterator[Held]:
        yield Held()
        raise KeyboardInterrupt  # the handlers are back before anybody has looked at `came`

    monkeypatch.setattr(applying, "hold", hold)
    assert scene.fails(Interrupted) == ["interrupted", "rolled-back"]
    assert scene.engine.runs == OLD


@pytest.mark.parametrize("late", [True, False])
def test_ctrl_c_while_the_new_one_starts_or_is_tested_brings_the_old_one_back(scene: Scene, late: bool) -> None:
    if late:
        scene.smoke = KeyboardInterrupt()
    else:
        scene.ready[8001] = KeyboardInterrupt()
    assert scene.fails(Interrupted) == ["interrupted", "rolled-back"]
    assert scene.engine.runs == OLD


def test_ctrl_c_before_the_stop_changes_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(applying, "fetch", interrupted)
    assert scene.fails(Interrupted) == ["interrupted"]
    assert (scene.engine.calls, scene.engine.runs) == ([], OLD)


def test_a_second_ctrl_c_leaves_nothing_and_says_so(scene: Scene) -> None:
    scene.ready = {8001: KeyboardInterrupt(), 8000: KeyboardInterrupt()}
    assert scene.fails(Interrupted) == ["interrupted", "not-rolled-back"]
    assert scene.engine.runs is None


@pytest.mark.parametrize("code", ["name-taken", "foreign"])
def test_a_name_that_somebody_else_took_meanwhile_is_left_alone(scene: Scene, code: str) -> None:
    scene.engine.refuses[8001] = HostError("taken", code=code)
    assert scene.fails(HostError) == [code]
    assert scene.engine.calls == ["stop", "remove", "create 8001"]


def test_a_service_that_changed_since_it_was_compared_is_not_touched(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "fetch", lambda *_, **__: setattr(scene.engine, "runs", NEW))
    assert scene.fails(HostError) == ["changed-meanwhile"]
    assert scene.engine.calls == []


def test_a_secret_that_the_way_back_needs_is_missed_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "judge", lambda *_: ((), HostFacts(origin="constructed")))
    keyed = replace(OLD, environment=(Variable("VLLM_API_KEY", None, "", "", env_from="MY_KEY"),))
    engine = Engine()
    change = Change(service(), engine, NEW, Fallback(keyed, "d"), lambda _: "")  # type: ignore[arg-type]
    facts = HostFacts(origin="constructed")

    def preflight(**environ: str) -> None:
        world = World(PLACES, environ, engine, lambda _: facts)  # type: ignore[arg-type]
        applying.preflight(change, world, Options(), Told())

    with pytest.raises(HostError) as caught:
        preflight()
    assert [problem.code for problem in caught.value.problems] == ["secret-missing"]
    preflight(MY_KEY="k")
