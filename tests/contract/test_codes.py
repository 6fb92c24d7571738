"""`dsv4 explain` knows every code that dsv4 prints, and none that it does not print any more."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import get_args

import pytest

from dsv4_launch.catalog.lint import fault_kinds
from dsv4_launch.catalog.problems import known_problems
from dsv4_launch.cli.advisories.explaining import explanations
from dsv4_launch.cli.main import main
from dsv4_launch.cli.weights.weighing import SAID
from dsv4_launch.errors import BUG_EXIT_CODE, Dsv4Error, meaning
from dsv4_launch.facts import EngineState
from dsv4_launch.run.pin import HUB_SAYS
from dsv4_launch.run.weights.failures import SAYS
from made_codes import SOURCES, made_codes

MADE, UNREAD = made_codes()
# Codes that are a first word and one of a table.
COMPOSED = {
    "cli/drivers.py": {f"engine-{word}" for word in get_args(EngineState) if word != "ready"},
    "cli/weights/weighing.py": {f"weights-{word}" for word in SAID},
    "run/pin.py": {f"hub-{word}" for word in HUB_SAYS},
    "run/weights/failures.py": {f"weights-{word}" for word in SAYS},
}
# Files that hand on, in a loop, what the catalog's tables, the checks or the faults of a text are called.
HANDED_ON = {"checks/examine.py", "cli/advisories/explaining.py", "convert/read/engine.py", "plan/repair.py"}
PRINTED = {made.code for made in MADE}.union(*COMPOSED.values())
EXITS = {0, BUG_EXIT_CODE, *(kind.exit_code for kind in Dsv4Error.__subclasses__())}
# Codes that somebody raises again as another error: the engine's for `pin`, a revision for `pin --check`.
RAISED_AGAIN = {"engine-down", "engine-error", "engine-denied", "disk-full", "no-revision"}


def test_every_code_can_be_read_where_it_is_given():
    assert {place.split(":")[0] for place in UNREAD} == set(COMPOSED) | HANDED_ON, UNREAD
    # Not by chance: functions, classes, keywords, defaults and choices were all looked through.
    assert {"input", "flag-value", "engine-error", "server-died", "registry", "rolled-back", "GPU001"} <= PRINTED


def test_explain_knows_every_code_that_is_printed():
    unknown = PRINTED - set(explanations())
    assert not unknown, [made for made in MADE if made.code in unknown]


def test_explain_knows_no_code_that_nothing_prints():
    assert {problem.code for problem in known_problems()} <= PRINTED


def test_every_fault_of_a_text_is_found_by_something():
    text = "".join(path.read_text("utf-8") for path in SOURCES.rglob("*.py"))
    assert [code for code in fault_kinds() if f'"{code}"' not in text] == []


def test_a_code_comes_with_the_exit_codes_that_explain_says():
    made: dict[str, set[int | None]] = defaultdict(set)
    for one in MADE:
        made[one.code].add(one.exit_code)
    for problem in known_problems():
        found = made[problem.code]
        assert found - {None} <= set(problem.exits), (problem.code, found)
        # Where every place tells its error, and no table makes it besides, there are no others.
        if found and None not in found and problem.code not in RAISED_AGAIN.union(*COMPOSED.values()):
            assert set(problem.exits) == found, (problem.code, found)


@pytest.mark.parametrize("problem", known_problems(), ids=lambda problem: problem.code)
def test_a_text_is_whole_short_and_of_known_exit_codes(problem):
    assert set(problem.exits) <= EXITS
    assert list(problem.exits) == sorted(set(problem.exits))
    assert not problem.title.endswith(".")
    assert 10 < len(problem.title) < 90
    for text in (problem.cause, problem.fix):
        assert text.endswith(".")
        assert 10 < len(text) < 260


def test_no_code_has_two_meanings():
    problems = [problem.code for problem in known_problems()]
    assert len(problems) == len(set(problems))
    others = [one.code for one in explanations().values() if one.kind not in ("problem", "lint")]
    assert not set(problems) & set(others)


def test_explain_says_the_exit_code(capsys):
    assert main(["explain", "server-late"]) == 0
    assert f"  exit    7: {meaning(7)}\n" in capsys.readouterr().out
    assert main(["explain", "GPU002", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["exits"] == [5]
    assert main(["explain", "left-running"]) == 0
    assert "that of the failure beside it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("bench-gat", "Did you mean bench-gate?"),
        ("server-dead", "server-died"),
        ("BENCH_GATES", "bench-gate"),
        ("hub", "These begin so: hub-denied, hub-failed, "),
        ("qqqqqq", "A code stands in brackets"),
    ],
)
def test_an_unknown_code_names_what_may_be_meant(capsys, wrong, meant):
    assert main(["explain", wrong]) == 2
    assert meant in capsys.readouterr().err
