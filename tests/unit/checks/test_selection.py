"""`gpus: auto`: which GPUs of a node a launch takes, by nothing but plan and facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import good_host
from checks.plans import PLANS, REFERENCE
from dsv4_launch.checks.base import Context
from dsv4_launch.checks.examine import blocking, examine
from dsv4_launch.checks.selection import asked, gpu_places, hangs_on, placed, select
from dsv4_launch.cli.fact_files import read_facts
from dsv4_launch.errors import HostError, UsageError
from dsv4_launch.facts import HostFacts
from dsv4_launch.plan.types import Plan

BUSY = [{"pid": 9, "name": "train", "used_mib": 170000}]
PCIE = {"gpus.*.fabric_state": "not supported"}


def auto(plan: Plan = REFERENCE, count: int | None = None, **changes: object) -> Plan:
    gpus = replace(plan.gpus, visible="auto", count=count if count is not None else plan.gpus.count)
    return replace(plan, gpus=gpus, **changes)  # type: ignore[arg-type]


SAFE = auto(PLANS["last-four"])  # without symmetric memory a part of a fabric is no danger
EIGHT = tuple(range(8))


def codes(plan: Plan, facts: HostFacts) -> set[str]:
    return {result.code for result in blocking(examine(plan, facts))}


def test_a_free_node_is_shown_whole_where_a_part_of_it_could_hang() -> None:
    assert select(auto(), good_host()) == EIGHT
    assert select(SAFE, good_host()) == (0, 1, 2, 3)
    assert select(auto(), good_host(PCIE)) == (0, 1, 2, 3)
    assert codes(auto(), good_host()) == set()


def test_the_node_of_which_four_are_busy() -> None:
    facts = read_facts("hgx-b200-4-busy")
    assert select(SAFE, facts) == (4, 5, 6, 7)
    assert codes(SAFE, facts) == set()
    assert gpu_places(SAFE, facts) == {"gpus": "4,5,6,7", "cuda_devices": "4,5,6,7"}
    refused = [result for result in blocking(examine(auto(), facts)) if result.code == "GPU012"]
    assert len(refused) == 1
    assert 'set `env: {VLLM_ALLREDUCE_USE_SYMM_MEM: "0"}`, or free GPUs 0,1,2,3 and set' in refused[0].message


@pytest.mark.parametrize(
    "fault",
    [
        {"gpus.1.processes": BUSY},
        {"gpus.1.processes": None},
        {"gpus.1.memory_free_mib": 90000},
        {"gpus.1.memory_free_mib": None},
        {"gpus.1.memory_free_mib": 999999},
        {"gpus.1.mig_mode": "enabled"},
        {"gpus.1.name": "NVIDIA H200"},
        {"gpus.1.row_remap": {"failed": True}},
    ],
)
def test_what_is_not_whole_free_and_known_is_not_taken(fault: dict[str, object]) -> None:
    assert select(SAFE, good_host(fault)) == (4, 5, 6, 7)


def test_one_numa_node_and_one_nvlink_group_come_first() -> None:
    assert select(SAFE, good_host({"gpus.0.processes": BUSY, "gpus.5.processes": BUSY})) == (1, 2, 3, 4)
    pairs = {f"gpus.{n}.peers": {str(n ^ 1): "nvlink"} for n in EIGHT}
    two = auto(PLANS["last-four"], count=2)
    assert select(two, good_host(PCIE | pairs | {"gpus.0.processes": BUSY})) == (2, 3)
    # The smallest group that is large enough: the other stays whole for a larger deployment.
    assert select(two, good_host({"gpus.0.processes": BUSY})) == (1, 2)


def test_too_few_free_ones_are_said_with_who_holds_them() -> None:
    facts = good_host({f"gpus.{n}.processes": BUSY for n in range(5)})
    assert select(SAFE, facts) == (0, 5, 6, 7)
    found = next(result for result in examine(SAFE, facts) if result.code == "GPU006")
    assert found.message.startswith("GPU 0 is held by train (pid 9, 166 GiB)")
    three = read_facts("b200-3-gpus")
    assert codes(auto(), three) >= {"GPU003"}


def test_a_native_launch_stays_within_what_the_caller_may_use() -> None:
    plan = auto(PLANS["last-four"], target="native")
    assert select(plan, good_host({"native.visible_devices": "2,3,4,5"})) == (2, 3, 4, 5)
    assert select(plan, good_host({"native.visible_devices": "6,7"})) == (6, 7)
    assert "GPU003" in codes(plan, good_host({"native.visible_devices": "6,7"}))


def test_a_deployment_that_runs_keeps_its_gpus() -> None:
    container = {"id": "a", "state": "running", "labels": {"dsv4.name": "flash-b200", "dsv4.gpus": "4,5,6,7"}}
    busy = {f"gpus.{n}.processes": BUSY for n in (4, 5, 6, 7)}
    assert select(SAFE, good_host(busy | {"docker.containers": {"flash-b200": container}})) == (4, 5, 6, 7)
    container["labels"] = {"dsv4.name": "flash-b200", "dsv4.gpus": "4,\u0665,$(x)"}
    assert select(SAFE, good_host(busy | {"docker.containers": {"flash-b200": container}})) == (0, 1, 2, 3)


def test_what_nobody_could_look_at_is_not_chosen() -> None:
    facts = HostFacts(origin="probed", problems={"gpus": "no driver"})
    assert select(auto(), facts) is None
    assert placed(auto(), facts).gpus.visible == "all"
    with pytest.raises(HostError, match="no driver"):
        gpu_places(auto(), facts)


def test_a_shell_variable_names_them() -> None:
    assert asked(auto(), {"DSV4_GPUS": "4,5,6,7"}).gpus.visible == (4, 5, 6, 7)
    assert asked(auto(), {"DSV4_GPUS": "all"}).gpus.visible == "all"
    assert asked(REFERENCE, {"DSV4_GPUS": "4,5"}) is REFERENCE, "a config that says which is not overruled"
    named = asked(SAFE, {"DSV4_GPUS": "4,5,6,7"})
    assert gpu_places(named, good_host())["gpus"] == "4,5,6,7"
    for wrong in ("4,4", "four", "1-3", "\u0664", "4,", "-1", "9" * 5000):
        with pytest.raises(UsageError):
            asked(auto(), {"DSV4_GPUS": wrong})


@settings(max_examples=200, deadline=None)
@given(
    busy=st.sets(st.integers(0, 7)),
    count=st.sampled_from([1, 2, 4, 8]),
    nodes=st.lists(st.integers(0, 1), min_size=8, max_size=8),
)
def test_laws_of_the_choice(busy: set[int], count: int, nodes: list[int]) -> None:
    changes: dict[str, object] = {f"gpus.{n}.processes": BUSY for n in busy}
    changes |= {f"gpus.{n}.numa_nodes": [node] for n, node in enumerate(nodes)}
    facts, plan = good_host(changes), auto(PLANS["last-four"], count=count)
    chosen = select(plan, facts)
    assert chosen is not None
    assert chosen == select(plan, facts)
    assert len(chosen) == len(set(chosen)) == count
    free = set(EIGHT) - busy
    assert set(chosen) <= free or len(free) < count
    whole = [node for node in (0, 1) if sum(nodes[n] == node for n in free) >= count]
    assert not whole or len({nodes[n] for n in chosen}) == 1
    risky = select(auto(count=count), facts)
    assert risky is not None
    shown = len(risky) == 8 or not hangs_on(Context(placed(auto(count=count), facts), facts), risky)
    assert shown or not set(range(count)) <= free, "a subset that may hang only where the first ones are busy"
