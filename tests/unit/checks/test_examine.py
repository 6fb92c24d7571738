"""Unknown is not passed, a skip needs a reason, and what waits for a failed check is not judged."""

import itertools
from dataclasses import replace

import pytest

from checks import good_host
from checks.plans import PLANS, REFERENCE
from dsv4_launch.checks.base import CHECKS
from dsv4_launch.checks.examine import Result, _in_order, blocking, examine, parse_skips, warnings
from dsv4_launch.checks.request import request_for
from dsv4_launch.errors import UsageError
from dsv4_launch.facts import HostFacts

PLACES = {
    "home": "/h",
    "hf_home": "/h/hf",
    "dsv4_cache": "/h/.cache/dsv4",
    "rehearsal_home": "/h/.cache/dsv4/rehearsal",
    "user": "u",
}


def as_map(results: tuple[Result, ...]) -> dict[str, Result]:
    return {result.code: result for result in results}


@pytest.mark.parametrize("name", PLANS)
def test_on_unread_facts_nothing_passes_that_needs_a_fact(name: str) -> None:
    results = examine(PLANS[name], HostFacts(origin="probed"))
    no_fact_needed = {"ENG004"} if name != "with-key" else set()
    assert {r.code for r in results if r.status == "passed"} <= no_fact_needed | {"MEM002", "NET004"}
    assert not [r for r in results if r.status == "failed" and r.code not in ("MEM002", "ENG005", "NET004")]
    assert blocking(results)


def test_an_unread_fact_says_which_and_why_and_blocks_the_launch() -> None:
    facts = good_host({"gpus.1.mig_mode": None, "problems": {"gpus.1.mig_mode": "NVML says: GPU is lost"}})
    results = examine(REFERENCE, facts)
    result = as_map(results)["GPU005"]
    assert result.status == "not checked"
    assert result.why == "gpus.1.mig_mode is not known (NVML says: GPU is lost)"
    assert [r.code for r in blocking(results)] == ["GPU005"]
    assert "--skip GPU005=" in result.problem().fix


def test_an_unread_fact_behind_a_warning_does_not_block() -> None:
    facts = good_host({"system.memory_available_bytes": None})
    results = examine(REFERENCE, facts)
    assert as_map(results)["MEM003"].status == "not checked"
    assert blocking(results) == ()


def test_what_waits_for_a_failed_check_is_not_judged_and_not_reported_again() -> None:
    results = as_map(examine(REFERENCE, good_host({"gpus.*.name": "NVIDIA H200", "gpus.*.mig_mode": "enabled"})))
    assert results["GPU002"].status == "failed"
    assert results["GPU005"].status == "not checked"
    assert results["GPU005"].blocked_by == "GPU002"
    assert [r.code for r in blocking(results.values())] == ["GPU002"]


def test_a_skipped_finding_is_kept_with_its_reason_and_what_requires_it_goes_on() -> None:
    facts = good_host({"gpus.*.name": "NVIDIA B200-SPECIAL", "gpus.0.mig_mode": "enabled"})
    results = examine(REFERENCE, facts, {"GPU002": "engineering sample"})
    found = as_map(results)
    assert found["GPU002"].status == "ignored"
    assert found["GPU002"].why == "engineering sample"
    assert found["GPU002"].finding is not None
    assert found["GPU005"].status == "failed"
    assert [r.code for r in blocking(results)] == ["GPU005"]
    assert found["GPU002"] in warnings(results)


def test_a_skip_of_what_could_not_be_read_is_recorded_too() -> None:
    facts = good_host({"gpus.0.mig_mode": None})
    results = examine(REFERENCE, facts, {"GPU005": "seen by eye"})
    assert as_map(results)["GPU005"].status == "ignored"
    assert blocking(results) == ()


def test_a_skip_of_a_check_that_passes_changes_nothing() -> None:
    assert examine(REFERENCE, good_host(), {"GPU005": "why not"}) == examine(REFERENCE, good_host())


def test_a_skip_of_no_check_is_a_wrong_command_line() -> None:
    with pytest.raises(UsageError) as caught:
        examine(REFERENCE, good_host(), {"GPU0002": "x"})
    assert "Did you mean GPU002?" in caught.value.problems[0].fix


def test_a_family_is_skipped_by_its_star_and_a_codes_own_reason_wins() -> None:
    nothing = {"gpus": None, "driver": None, "problems": {"gpus": "no driver", "driver": "no driver"}}
    skips = parse_skips(["GPU003=mine", "gpu*=stand-in", "DRV*=stand-in", "FAB*=stand-in", "MEM*=stand-in"])
    results = examine(REFERENCE, good_host(nothing), skips)
    assert blocking(results) == ()
    found = as_map(results)
    assert (found["GPU003"].why, found["GPU002"].why) == ("mine", "stand-in")
    assert found["GPU001"].finding is not None
    for text in ("*", "XYZ*"):
        with pytest.raises(UsageError):
            examine(REFERENCE, good_host(), {text: "x"})


def test_a_skip_needs_a_reason() -> None:
    assert parse_skips(["gpu002=lab node = mine"]) == {"GPU002": "lab node = mine"}
    for text in ("GPU002", "GPU002=", "GPU002=  ", "=x", ""):
        with pytest.raises(UsageError):
            parse_skips([text])


def test_requirements_come_first() -> None:
    order = [result.code for result in examine(REFERENCE, good_host())]
    assert len(order) == len(set(order)) == len(CHECKS)
    for check in CHECKS.values():
        assert all(order.index(code) < order.index(check.code) for code in check.requires)


def test_a_circle_or_a_missing_requirement_is_a_bug_that_shows() -> None:
    one = CHECKS["GPU001"]
    for requires in (("A",), ("C",), ("B",)):
        circle = {"A": replace(one, code="A", requires=requires), "B": replace(one, code="B", requires=("A",))}
        with pytest.raises(ValueError, match="A requires"):
            _in_order(circle)


def test_examining_twice_gives_the_same() -> None:
    for name, facts in itertools.product(PLANS, (good_host(), HostFacts(origin="probed"))):
        assert examine(PLANS[name], facts) == examine(PLANS[name], facts)


def test_a_docker_plan_asks_for_what_its_checks_need() -> None:
    request = request_for(REFERENCE, PLACES)
    assert request.gpus
    assert request.docker
    assert request.images == ("vllm/vllm-openai:v0.20.0",)
    assert request.containers == ("flash-b200",)
    assert request.executable is None
    assert dict(request.paths) == {"weights": "/h/hf/hub", "caches": "/h/.cache/dsv4/caches/x"}
    assert request.ports == (("127.0.0.1", 8000),)
    assert request.repos == (("deepseek-ai/DeepSeek-V4-Flash", None),)


def test_a_native_plan_asks_for_its_executable_and_no_engine() -> None:
    request = request_for(PLANS["native"], PLACES)
    assert request.executable == "vllm"
    assert not request.docker
    assert request.images == ()


def test_a_rehearsal_looks_for_its_model_and_no_gpu() -> None:
    request = request_for(PLANS["rehearsal"], PLACES)
    assert not request.gpus
    assert dict(request.paths)["model"] == "/h/.cache/dsv4/rehearsal/model"
    assert request.repos == ()
    assert request.hub_cache is None


def test_only_names_of_secrets_are_asked_for() -> None:
    assert request_for(PLANS["with-key"], PLACES).variables == ("MY_KEY",)
    assert request_for(PLANS["gated"], PLACES).token_env == "HF_TOKEN"
