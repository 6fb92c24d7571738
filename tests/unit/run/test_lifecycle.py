"""The serve flow on doubles: what is called, and what is left after each way it can go."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from doubles import PLAN, DownDriver, FakeDriver, Told, service, world

from checks import good_host
from checks.plans import REFERENCE
from dsv4_launch.errors import HostError, Interrupted, ServerError, SmokeError
from dsv4_launch.facts import HostFacts
from dsv4_launch.plan.types import Plan
from dsv4_launch.run import claim, lifecycle
from dsv4_launch.run.endpoint import Answer
from dsv4_launch.run.history.entries import Entry
from dsv4_launch.run.interrupts import Held
from dsv4_launch.run.lifecycle import dry_run, serve
from dsv4_launch.run.service import digest_of
from dsv4_launch.run.start.earlier import Starts
from dsv4_launch.run.start.readiness import Ready
from dsv4_launch.run.start.stage_times import StageTimes
from dsv4_launch.run.world import Options
from dsv4_launch.targets import render

B200 = replace(REFERENCE, name="x", model=replace(REFERENCE.model, local=True, weight_bytes=0))
RENDERED = render(B200)
DIGEST = digest_of(B200, RENDERED)
HOST = good_host({"disks.model": {"path": "/m", "looked_at": "/m", "total_bytes": 1, "free_bytes": 1},
                  "docker.containers": {"x": None}})  # fmt: skip


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "ask", lambda *_: Answer("silent"))
    monkeypatch.setattr(lifecycle, "wait_until_ready", lambda *_, **__: Ready(3.04, ("tiny",)))


def launch(driver: FakeDriver, options: Options | None = None, facts: HostFacts = HOST, told: Told | None = None):  # type: ignore[no-untyped-def]
    return serve(B200, RENDERED, world(driver, facts, HF_TOKEN="t"), options or Options(), told or Told())


def test_to_ready() -> None:
    driver = FakeDriver([None])
    outcome = launch(driver)
    assert (outcome.state, outcome.models, outcome.seconds, outcome.digest) == ("ready", ("tiny",), 3.0, DIGEST)
    assert driver.calls == ["create"]
    assert {result.status for result in outcome.checks} <= {"passed", "not applicable"}


def test_what_a_start_took_is_remembered_for_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []

    def wait(*_: object, times: StageTimes, **__: object) -> Ready:
        seen.append(times.last("weights"))
        times.reach("weights", "loading weights")
        return Ready(1.0, ("tiny",), stages=times.end())

    monkeypatch.setattr(lifecycle, "wait_until_ready", wait)
    here = replace(world(FakeDriver([None]), HOST), starts=Starts({"DSV4_STATE_DIR": str(tmp_path)}))
    first = serve(B200, RENDERED, here, Options(), Told())
    assert [stage.key for stage in first.stages] == ["launch", "weights"]
    assert [stage.last_seconds for stage in first.stages] == [None, None]
    second = serve(B200, RENDERED, here, Options(), Told())
    assert [stage.last_seconds for stage in second.stages] == [stage.seconds for stage in first.stages]
    assert seen == [0.0, first.stages[1].seconds]


def test_detached_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "wait_until_ready", None)
    assert launch(FakeDriver([None]), Options(detach=True)).state == "detached"


def test_a_failing_check_launches_nothing_and_a_skip_is_recorded() -> None:
    driver = FakeDriver([None])
    host = HOST.model_copy(update={"gpus": ()})
    with pytest.raises(HostError) as refused:
        launch(driver, facts=host)
    assert [problem.code for problem in refused.value.problems] == ["GPU001"]
    assert driver.calls == []
    told = Told()
    skips = {"GPU*": "a test", "DRV001": "a test", "FAB001": "a test", "MEM001": "a test"}
    outcome = launch(driver, Options(skips=skips), host, told)
    assert outcome.skipped == skips
    assert any("skipped: a test" in line for line in told.said)


def test_the_same_plan_that_is_ready_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "ask", lambda *_: Answer("ready", "", ("tiny",)))
    driver = FakeDriver([service(digest=DIGEST)])
    assert launch(driver).state == "already-ready"
    assert driver.calls == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"digest": "other"}, "other-plan-runs"),
        ({"digest": DIGEST}, "name-taken"),
        ({"digest": "", "life": "created"}, "name-taken"),  # only its lock tells of it yet
        ({"foreign": True}, "foreign"),
    ],
)
def test_a_taken_name(changes: dict[str, object], code: str) -> None:
    driver = FakeDriver([service(**changes)])
    with pytest.raises(HostError) as taken:
        launch(driver)
    assert taken.value.problems[0].code == code
    assert driver.calls == []


def test_a_finished_one_is_replaced_and_that_is_said() -> None:
    told = Told()
    assert launch(FakeDriver([service(life="exited", exit_code=1)]), told=told).state == "ready"
    assert told.said[0] == "Replacing the finished x (exit code 1)"


def test_an_engine_that_is_down_is_told_by_its_check() -> None:
    with pytest.raises(HostError) as down:
        launch(DownDriver([None]), facts=good_host({"docker.engine": "down"}))
    assert "CTR002" in [problem.code for problem in down.value.problems]


@pytest.mark.parametrize(
    ("code", "on_failure", "calls"),
    [
        ("server-died", "keep", ["create"]),
        ("server-late", "keep", ["create"]),
        ("crash-loop", "keep", ["create", "stop"]),
        ("server-died", "remove", ["create", "stop", "remove"]),
    ],
)
def test_what_is_left_of_a_failed_start(
    monkeypatch: pytest.MonkeyPatch, code: str, on_failure: str, calls: list[str]
) -> None:
    def fail(*_: object, **__: object) -> Ready:
        raise ServerError("x", code=code)

    monkeypatch.setattr(lifecycle, "wait_until_ready", fail)
    driver = FakeDriver([None])
    with pytest.raises(ServerError) as failed:
        launch(driver, Options(on_failure=on_failure))  # type: ignore[arg-type]
    assert driver.calls == calls
    assert ("removed" in failed.value.problems[0].fix) == (on_failure == "remove")


def test_the_log_of_a_failed_start_is_saved_before_it_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> Ready:
        raise ServerError("x", code="server-died")

    monkeypatch.setattr(lifecycle, "wait_until_ready", fail)
    driver = FakeDriver([None], lines=["its last words"])
    here = replace(
        world(driver, HOST, HF_TOKEN="t", DSV4_STATE_DIR=str(tmp_path)),
        history=Kept(),  # type: ignore[arg-type]
    )
    with pytest.raises(ServerError) as failed:
        serve(B200, RENDERED, here, Options(on_failure="remove"), Told())
    (saved,) = (tmp_path / "logs" / "x").glob("*.log")
    assert "its last words" in saved.read_text()
    assert "dsv4 logs x --last" in failed.value.problems[0].fix


class Kept:
    """A history in memory."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def add(self, _name: str, entry: Entry) -> Entry:
        self.outcomes.append(entry.outcome)
        return entry


@pytest.mark.parametrize(
    ("fails", "outcomes"),
    [
        (None, ["healthy"]),
        (SmokeError("wrong"), ["failed"]),
        (HostError("the key's file is gone"), ["failed"]),  # it cannot be tested
        (KeyboardInterrupt(), []),
    ],
)
def test_what_is_tested_is_healthy_after_the_test_only(fails: BaseException | None, outcomes: list[str]) -> None:
    def accept(_plan: Plan) -> None:
        if fails:
            raise fails

    driver, kept = FakeDriver([None]), Kept()
    here = replace(world(driver, HOST, HF_TOKEN="t"), history=kept)  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        if fails:
            failed = stack.enter_context(pytest.raises((SmokeError, HostError, Interrupted)))
        serve(B200, RENDERED, here, Options(accept=accept), Told())
    assert kept.outcomes == outcomes
    assert driver.calls == ["create"], "it is left, to be looked at"
    if fails:
        assert "dsv4 stop x" in str(failed.value) + failed.value.problems[-1].fix


def test_ctrl_c_while_it_starts_takes_it_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> Ready:
        raise KeyboardInterrupt

    monkeypatch.setattr(lifecycle, "wait_until_ready", interrupt)
    driver = FakeDriver([None])
    with pytest.raises(Interrupted):
        launch(driver)
    assert driver.calls == ["create", "stop", "remove"]


class Interrupting(Kept):
    """A history to which Ctrl-C comes while it is written."""

    def add(self, _name: str, entry: Entry) -> Entry:
        raise KeyboardInterrupt


@pytest.mark.parametrize("detach", [True, False])
def test_ctrl_c_while_a_start_is_written_down_takes_it_away(detach: bool) -> None:
    driver = FakeDriver([None])
    here = replace(world(driver, HOST, HF_TOKEN="t"), history=Interrupting())  # type: ignore[arg-type]
    with pytest.raises(Interrupted, match="stopped and removed"):
        serve(B200, RENDERED, here, Options(detach=detach), Told())
    assert driver.calls == ["create", "stop", "remove"]


@pytest.mark.parametrize("late", [True, False])
def test_ctrl_c_while_the_name_is_taken_or_given_back(late: bool) -> None:
    @contextlib.contextmanager
    def changing(_name: str) -> Iterator[None]:
        if late:
            yield
        raise KeyboardInterrupt

    driver = FakeDriver([None])
    with pytest.raises(Interrupted, match="stopped and removed" if late else "nothing was started"):
        serve(B200, RENDERED, replace(world(driver, HOST, HF_TOKEN="t"), changing=changing), Options(), Told())
    assert driver.calls == (["create", "stop", "remove"] if late else [])


@pytest.mark.parametrize("created", [True, False])
def test_ctrl_c_heard_as_soon_as_a_launch_is_over_undoes_what_it_made(
    monkeypatch: pytest.MonkeyPatch, created: bool
) -> None:
    @contextlib.contextmanager
    def hold() -> Iterator[Held]:
        yield Held()
        raise KeyboardInterrupt  # the handlers are back before anybody has looked at `came`

    monkeypatch.setattr(lifecycle, "hold", hold)
    driver = FakeDriver([None])
    driver.refuses = None if created else KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(Interrupted, match="stopped and removed" if created else "nothing of it is left"):
        launch(driver)
    assert driver.calls == (["create", "stop", "remove"] if created else ["create"])


def test_ctrl_c_before_the_launch_says_that_nothing_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> Answer:
        raise KeyboardInterrupt

    monkeypatch.setattr(claim, "ask", interrupt)
    driver = FakeDriver([service(digest=DIGEST)])
    with pytest.raises(Interrupted, match="nothing was started"):
        launch(driver)
    assert driver.calls == []


def test_a_creation_that_was_refused_is_not_undone() -> None:
    driver = FakeDriver([None], refuses=HostError("x", code="name-taken"))
    with pytest.raises(HostError):
        launch(driver)
    assert driver.calls == ["create"], "the name is another launch's"


def test_a_dry_run_changes_nothing() -> None:
    driver = FakeDriver([None])
    facts = good_host({"docker.images": {B200.container.image: None}, "docker.containers": {"x": None}})
    found = dry_run(B200, RENDERED, world(driver, facts), Options())
    assert found.argv[:2] == ("docker", "run")
    assert all(isinstance(word, str) for word in found.argv)
    assert found.fetches == (f"image {B200.container.image}",)
    assert driver.calls == []


def test_stop_leaves_nothing_and_touches_nothing_foreign() -> None:
    driver = FakeDriver([service()])
    assert claim.stop(driver, "x") == service()
    assert driver.calls == ["stop", "remove"]
    ended = FakeDriver([service(life="exited", exit_code=1)])
    claim.stop(ended, "x")
    assert ended.calls == ["remove"]
    foreign = FakeDriver([service(foreign=True)])
    with pytest.raises(HostError):
        claim.stop(foreign, "x")
    assert foreign.calls == []
    assert claim.stop(FakeDriver([None]), "x") is None


def test_a_plan_for_the_cpu_needs_no_gpus() -> None:
    driver = FakeDriver([None])
    host = good_host({"gpus": None, "docker.containers": {"x": None},
                      "docker.images": {PLAN.container.image: None},
                      "disks.model": {"path": "/m", "looked_at": "/m", "total_bytes": 1, "free_bytes": 1}})  # fmt: skip
    with pytest.raises(HostError) as refused:
        serve(PLAN, render(PLAN), world(driver, host), Options(), Told())
    assert [problem.code for problem in refused.value.problems] == ["CTR007"], "no registry has that image"
