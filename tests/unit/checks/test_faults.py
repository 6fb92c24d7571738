"""Every check finds its fault on an otherwise good host, and nothing unrelated does."""

import pytest

from checks import CODES, FAULTS, fault, good_host
from checks.plans import PLANS
from dsv4_launch.checks.base import CHECKS
from dsv4_launch.checks.examine import Result, examine

# Faults that bring another one with them: nothing can be pulled to a full disk unless it has to be pulled.
BROUGHT = {"DSK002": {"CTR004"}, "DSK001": set()}


def by_status(results: tuple[Result, ...], status: str) -> set[str]:
    return {result.code for result in results if result.status == status}


@pytest.mark.parametrize(
    "name",
    [
        "docker",
        "native",
        "last-four",
        "gated",
        "with-key",
        "public-with-key",
        "default-runtime",
        "rehearsal",
        "mega-moe",
        "eager",
    ],
)
def test_a_good_host_passes_every_check_that_applies(name: str) -> None:
    results = examine(PLANS[name], good_host())
    assert {r.status for r in results} <= {"passed", "not applicable"}, [r.message for r in results]


def test_every_check_has_a_fault_and_every_fault_a_check() -> None:
    import dsv4_launch.checks.examine  # noqa: F401

    assert set(CODES) == set(CHECKS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_finds_its_fault_and_nothing_unrelated_does(name: str) -> None:
    case, code = fault(name), name.partition(".")[0]
    results = examine(PLANS[case["plan"]], good_host(case["set"]))
    assert by_status(results, "failed") == {code} | BROUGHT.get(code, set())
    found = next(result for result in results if result.code == code)
    assert case["message"] in found.message
    # Whatever was not checked for it waits for it, directly or not.
    blocked = {result.code: result.blocked_by for result in results if result.status == "not checked"}
    for by in blocked.values():
        while by != code:
            by = blocked[by]


@pytest.mark.parametrize("name", FAULTS)
def test_a_finding_is_one_sentence_that_ends_with_what_to_do(name: str) -> None:
    case, code = fault(name), name.partition(".")[0]
    results = examine(PLANS[case["plan"]], good_host(case["set"]))
    finding = next(result.finding for result in results if result.code == code)
    assert finding is not None
    assert "\n" not in finding.message
    assert not finding.found.endswith(".")
    assert finding.fix
    assert len(finding.message) < 320


def test_every_check_has_a_title_that_states_what_is_well() -> None:
    for check in CHECKS.values():
        assert check.title
        assert not check.title.endswith(".")
        assert set(check.requires) <= set(CHECKS)
