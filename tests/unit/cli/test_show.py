"""What a person is shown of a problem."""

from __future__ import annotations

import pytest

from dsv4_launch.catalog.advisories import advisories
from dsv4_launch.cli import show
from dsv4_launch.errors import Problem


@pytest.mark.parametrize("code", [advisories()[0].id, advisories()[-1].id])
def test_the_code_of_a_known_failure_is_shown_with_it(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    show.problem(Problem(code, "It died.", "log line 7", "Mend it."))
    assert capsys.readouterr().err == f"error: It died. [{code}]\n  --> log line 7\n  hint: Mend it.\n"
