"""Which GPUs are proposed, what an image demands, and what a record that does not know forbids."""

import json
from dataclasses import replace

import pytest

from checks import good_host
from checks.plans import PLANS, REFERENCE
from dsv4_launch.checks.base import Context
from dsv4_launch.checks.driver import same_device
from dsv4_launch.checks.examine import blocking, examine
from dsv4_launch.checks.image import holds
from dsv4_launch.checks.place import setting
from dsv4_launch.checks.selection import choose, hangs_on
from dsv4_launch.facts import HostFacts

BUSY = [{"pid": 9, "name": "train", "used_mib": 170000}]


def busy(*indices: int) -> HostFacts:
    return good_host({f"gpus.{index}.processes": BUSY for index in indices})


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [((), (0, 1, 2, 3)), ((0,), (4, 5, 6, 7)), ((0, 5), (1, 2, 3, 4)), ((0, 1, 2, 3, 4), ())],
)
def test_free_gpus_of_one_numa_node_come_first(taken: tuple[int, ...], chosen: tuple[int, ...]) -> None:
    assert choose(Context(REFERENCE, busy(*taken))) == chosen


def test_gpus_of_another_type_and_unread_ones_are_not_proposed() -> None:
    facts = good_host({"gpus.0.name": "NVIDIA H200", "gpus.1.processes": None})
    assert choose(Context(REFERENCE, facts)) == (4, 5, 6, 7)
    eight = replace(REFERENCE, gpus=replace(REFERENCE.gpus, count=8))
    assert choose(Context(eight, facts)) == ()


def test_what_is_proposed_for_a_part_of_a_fabric_does_not_hang() -> None:
    context = Context(REFERENCE, good_host())
    assert hangs_on(context, (0, 1, 2, 3))
    assert not hangs_on(context, range(8))
    assert setting(context, (4, 5, 6, 7)) == '`gpus: [4, 5, 6, 7]`, with `env: {VLLM_ALLREDUCE_USE_SYMM_MEM: "0"}`'
    assert setting(Context(PLANS["last-four"], good_host()), (4, 5, 6, 7)) == "`gpus: [4, 5, 6, 7]`"
    pcie = good_host({"gpus.*.fabric_state": "not supported"})
    assert not hangs_on(Context(REFERENCE, pcie), (0, 1, 2, 3))
    data = replace(REFERENCE, parallel={"tensor": 1, "data": 4})
    assert not hangs_on(Context(data, good_host()), (0, 1, 2, 3))


HAS = {"driver": "570.133.20", "cuda": "12.8"}


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("cuda>=12.8", True),
        ("cuda>=13.0", False),
        ("cuda<13", True),
        ("driver>=570", True),
        ("driver<571", True),
        ("driver<570", False),
        ("driver>=570.133.21", False),
        ("driver=570", True),
        ("driver!=570", False),
        ("brand=tesla", True),
        ("nonsense", True),
    ],
)
def test_a_condition_of_an_image(condition: str, held: bool) -> None:
    assert holds(condition, HAS) is held


def test_an_image_that_asks_nothing_of_the_driver_is_not_refused() -> None:
    driver = {"driver": {"version": "525.60.13", "cuda_version": "12.0"}}
    for env in ({}, {"NVIDIA_REQUIRE_CUDA": "cuda>=13.0", "NVIDIA_DISABLE_REQUIRE": "1"}):
        facts = good_host(driver).model_dump(mode="json")
        facts["docker"]["images"]["vllm/vllm-openai:v0.20.0"]["env"] = env
        results = examine(PLANS["compatibility"], HostFacts.from_json(json.dumps(facts)))
        assert {r.code: r.status for r in results}["CTR008"] == "passed"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0000:1b:00.0", "0000:1b:00", True),
        ("0000:1b:00.0", "1B:00", True),
        ("0000:1b:00.0", "0000:2b:00", False),
        ("0000:1b:00.0", "0001:1b:00", False),
    ],
)
def test_one_device_has_several_spellings(one: str, other: str, same: bool) -> None:
    assert same_device(one, other) is same


def test_an_xid_of_a_gpu_that_is_not_used_is_not_this_plans_matter() -> None:
    def status(pci: str) -> str:
        facts = good_host({"kernel.errors": [{"kind": "xid", "number": 79, "pci": pci, "count": 1}]})
        return next(r.status for r in examine(REFERENCE, facts) if r.code == "DRV004")

    assert status("0000:1b:00") == "failed"
    assert status("0000:8b:00") == "passed", "GPU 7"
    assert status("0000:ff:00") == "failed", "a GPU that is not shown any more"


def test_a_log_that_does_not_reach_the_boot_passes_nothing() -> None:
    results = {r.code: r for r in examine(REFERENCE, good_host({"kernel.complete": False}))}
    assert results["DRV004"].status == results["FAB004"].status == "not checked"
    assert "no longer goes back" in results["DRV004"].why
    assert blocking(results.values()) == ()


def test_health_that_may_not_be_read_forbids_nothing() -> None:
    unread = ("row_remap", "ecc_mode", "throttled", "persistence_mode", "nvlinks", "peers", "numa_nodes")
    facts = good_host({f"gpus.*.{name}": None for name in unread} | {"kernel": None, "fabric_manager": None})
    results = examine(REFERENCE, facts)
    assert {r.code for r in results if r.status == "not checked"} >= {"GPU007", "GPU008", "FAB002", "DRV004"}
    assert blocking(results) == ()


def test_a_record_that_does_not_know_forbids_nothing_but_its_faults_do() -> None:
    facts = good_host({"ports": {}, "gpus.0.mig_mode": "enabled"})
    results = examine(REFERENCE, facts)
    assert {r.code for r in blocking(results)} == {"NET001", "GPU005"}
    assert {r.code for r in blocking(results, recorded=True)} == {"GPU005"}


def test_a_record_that_lies_about_memory_passes_nothing() -> None:
    results = {r.code: r for r in examine(REFERENCE, good_host({"gpus.1.memory_free_mib": 999999}))}
    assert results["MEM001"].status == "not checked"
    assert "999999 MiB of 183359, which cannot be" in results["MEM001"].why


def test_what_was_not_asked_for_does_not_apply() -> None:
    facts = good_host().model_copy(update={"network": None})
    assert {r.code: r.status for r in examine(REFERENCE, facts)}["NET003"] == "not applicable"
    late = facts.model_copy(update={"problems": {"network": "no answer within 15 s"}})
    assert {r.code: r.status for r in examine(REFERENCE, late)}["NET003"] == "not checked"
