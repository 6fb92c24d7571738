"""Each check of `dsv4 smoke` finds the fault that it is there for: on a real server, asked by the official client."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from contract.smoke_server import KEY, serving
from dsv4_launch.cli.main import main
from dsv4_launch.run.smoke.checks import CHECKS
from dsv4_launch.run.smoke.endpoint import OpenAiEndpoint

# The known failure that a fault shows, where it shows one.
ADVISORIES = {
    "thinking-off": "D38",
    "thinking-on": "D37",
    "special-tokens": "D11",
    "tool-call": "D36",
    "tool-stream": "D34",
    "prefix-cache": "D40",
}
KEYS = [check.key for check in CHECKS]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts at once: nothing is waited for."""
    monkeypatch.setattr(OpenAiEndpoint, "wait", lambda *_: None)
    monkeypatch.setenv("SMOKE_KEY", KEY)


def smoke(url: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["smoke", "--url", url, "--key-env", "SMOKE_KEY", "--output", "json", *words])
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    return code, json.loads(said.out)


def test_a_good_server_passes_all_of_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    junit = tmp_path / "r.xml"
    with serving() as url:
        code, told = smoke(url, capsys, "--junit", str(junit))
    assert {check["key"]: (check["status"], check["why"]) for check in told["data"]["checks"]} == {
        key: ("pass", why) for key, (_, why) in seen(told).items()
    }
    assert code == 0
    assert junit.read_text().count("<testcase") == len(KEYS)


@pytest.mark.parametrize("fault", KEYS)
def test_a_check_finds_its_fault(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    others = [word for key in KEYS if key != fault for word in ("--skip", f"{key}=not this time")]
    with serving(fault) as url:
        code, told = smoke(url, capsys, *others)
    status, why = seen(told)[fault]
    assert (code, status) == (8, "fail"), why
    assert why
    assert [error["code"] for error in told["errors"]] == [ADVISORIES.get(fault, "smoke")]
    assert {state for key, (state, _) in seen(told).items() if key != fault} == {"not applicable"}


def test_a_server_that_cannot_be_asked_is_an_error_in_the_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    junit = tmp_path / "r.xml"
    with serving() as url:
        pass
    code, told = smoke(url, capsys, "--junit", str(junit))
    (case,) = ET.parse(junit).getroot().iter("testcase")
    error = case.find("error")
    assert error is not None
    assert (code, told["errors"][0]["message"]) == (8, error.get("message"))
    assert "refused" in str(error.get("message"))


def test_a_report_that_cannot_be_written_is_told_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for place, why in ((tmp_path, "it is a folder"), (tmp_path / "no/r.xml", "there is no such folder")):
        code, told = smoke("http://127.0.0.1:9", capsys, "--junit", str(place))
        assert code == 3
        assert why in told["errors"][0]["message"]


def seen(told: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {check["key"]: (check["status"], check["why"]) for check in told["data"]["checks"]}
