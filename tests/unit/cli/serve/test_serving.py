"""Ctrl-C at every moment of an attached `serve` once the server is ready: what was launched is not forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsv4_launch.cli import options
from dsv4_launch.cli.serve import serving
from dsv4_launch.plan.types import Plan
from dsv4_launch.run import interrupts, lifecycle
from dsv4_launch.run.service import Seen
from dsv4_launch.run.world import Options, Outcome
from unit.run.doubles import PLAN, FakeDriver, service, world


def ours(digest: str = "d1") -> Seen:
    return service(target="native", digest=digest)


@pytest.mark.parametrize("moment", ["_tell", "_follow"])
@pytest.mark.parametrize(
    ("found", "state", "calls"),
    [
        (ours(), "ready", ["stop", "remove"]),
        (ours(digest="another"), "ready", []),  # somebody applied another plan meanwhile
        (None, "ready", []),
        (ours(), "already-ready", []),
    ],
)
def test_ctrl_c_after_ready_stops_a_native_server_that_was_launched_here(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: str,
    found: Seen,
    state: str,
    calls: list[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def serve(plan: Plan, *_: object) -> Outcome:
        return Outcome(state, plan.name, "native", plan.base_url, ("m",), "d1")  # type: ignore[arg-type]

    driver = FakeDriver([found])
    monkeypatch.setattr(interrupts, "terminate_as_interrupt", lambda: None)
    monkeypatch.setattr(serving, "world", lambda *_, **__: world(driver))
    monkeypatch.setattr(lifecycle, "serve", serve)
    monkeypatch.setattr(serving, moment, interrupted)
    plan = replace(PLAN, target="native")
    assert serving.launch(plan, Options(), options.Output.human, attach=True) == 0
    assert driver.calls == calls
    goes_on = found is not None and not calls
    assert ("goes on" in capsys.readouterr().err) == goes_on
