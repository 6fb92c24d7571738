"""What the checks say about hosts that are neither plainly good nor plainly faulty."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from checks import good_host
from checks.plans import PLANS, REFERENCE
from dsv4_launch.checks.examine import Result, blocking, examine, warnings
from dsv4_launch.plan.types import Plan, Stack, Variable

OURS = {"id": "c1", "state": "running", "image": "x", "labels": {"dsv4.name": "flash-b200"}, "host_ports": [8000]}
FULL = {"revision": "abc", "size_bytes": 160_000_000_000, "complete": True, "missing": []}
HALF = {"revision": "abc", "size_bytes": 100_000_000_000, "complete": False, "missing": ["x"]}
REPO = "deepseek-ai/DeepSeek-V4-Flash"


def failed(plan: Plan, changes: dict[str, Any]) -> set[str]:
    return {result.code for result in examine(plan, good_host(changes)) if result.status == "failed"}


def result_of(code: str, plan: Plan, changes: dict[str, Any]) -> Result:
    return next(result for result in examine(plan, good_host(changes)) if result.code == code)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("MEM001", {"gpus.*.memory_free_mib": 10**9}),
        ("MEM001", {"gpus.*.memory_free_mib": 0, "gpus.*.memory_total_mib": 0}),
        ("MEM003", {"system.memory_available_bytes": 2**62, "system.memory_total_bytes": 1}),
        ("DSK001", {"hub.snapshots": {REPO: None}, "disks.weights.free_bytes": 2**62}),
        ("DSK002", {"docker.images": {REFERENCE.container.image: None}, "disks.docker.free_bytes": 2**62}),
        ("CTR009", {"docker.toolkit_version": "banana"}),
        ("NET003", {"network": {"endpoint": "https://x", "reachable": True, "skew_s": 1e308}}),
    ],
)
def test_what_cannot_be_is_unknown_and_not_passed(code: str, changes: dict[str, Any]) -> None:
    found = result_of(code, REFERENCE, changes)
    assert (found.status, found.finding) == ("not checked", None)
    assert "cannot be" in found.why or "is no version" in found.why
    assert len(found.why) < 200


@pytest.mark.parametrize(
    "name",
    ["NVIDIA GB200", "NVIDIA B300 SXM6 AC", "NVIDIA B200 MIG 3g.90gb", "NVIDIA H100 80GB HBM3", "nvidia b200", "B200"],
)
def test_a_gpu_of_another_name_is_another_gpu(name: str) -> None:
    found = result_of("GPU002", REFERENCE, {"gpus.*.name": name})
    assert f"are 4 {name}, the plan is for 4 NVIDIA B200" in found.message
    assert ("turn MIG off" in found.message) == (" MIG " in name)


def test_only_the_gpus_that_will_be_used_are_judged() -> None:
    holder = [{"pid": 9, "name": "train", "used_mib": 170000}]
    last = {f"gpus.{i}.processes": holder for i in range(4, 8)} | {
        "gpus.7.name": "NVIDIA H200",
        "gpus.6.mig_mode": None,
    }
    assert failed(REFERENCE, last) == set()
    assert failed(PLANS["last-four"], last) == {"GPU002"}
    assert failed(PLANS["last-four"], {"gpus.0.processes": holder}) == set()


def test_gpus_that_the_config_names_must_exist() -> None:
    found = result_of("GPU003", PLANS["last-four"], {"gpus": good_host().model_dump(mode="json")["gpus"][:6]})
    assert found.finding is not None
    assert "of the configured gpus [4, 5, 6, 7] only 2 exist" in found.finding.found


def test_a_native_server_uses_the_gpus_of_the_callers_cuda_visible_devices() -> None:
    busy = {"gpus.0.processes": [{"pid": 9, "name": "train", "used_mib": 170000}]}
    native = replace(PLANS["native"], environment=PLANS["last-four"].environment)
    assert failed(native, busy) == {"GPU006"}
    assert failed(native, busy | {"native.visible_devices": "4,5,6,7"}) == set()
    assert failed(native, {"native.visible_devices": "4,5"}) == {"GPU003"}
    uuids = ",".join(str(gpu.uuid) for gpu in (good_host().gpus or ())[4:])
    assert failed(native, busy | {"native.visible_devices": uuids}) == set()
    assert failed(REFERENCE, busy | {"native.visible_devices": "4,5,6,7"}) == {"GPU006"}


def test_a_driver_without_any_gpu_is_named_so() -> None:
    found = result_of("GPU001", REFERENCE, {"gpus": []})
    assert "shows no GPU, the plan needs 4 NVIDIA B200" in found.message
    assert "dsv4 validate" in found.message
    assert "dsv4 rehearse" in found.message


def test_three_b200s_of_another_type_are_both_too_few_and_wrong() -> None:
    gpus = [gpu | {"name": "NVIDIA H200"} for gpu in good_host().model_dump(mode="json")["gpus"][:3]]
    assert failed(REFERENCE, {"gpus": gpus}) >= {"GPU002", "GPU003"}


@pytest.mark.parametrize(
    ("driver", "image_cuda", "passes"),
    [
        ({"version": "580.65.06", "cuda_version": "13.0"}, "13.0.1", True),
        ({"version": "595.10", "cuda_version": "13.2"}, "13.0.1", True),
        ({"version": "580.65.05", "cuda_version": "13.0"}, "13.0.1", False),
        ({"version": "570.133.20", "cuda_version": "12.8"}, "12.9.1", True),
        ({"version": "535.200", "cuda_version": "12.2"}, "13.0.1", False),
    ],
)
def test_the_driver_is_judged_by_the_cuda_of_the_image(driver: dict[str, str], image_cuda: str, passes: bool) -> None:
    image = {"id": "x", "env": {"CUDA_VERSION": image_cuda}}
    changes = {"driver": driver, "docker.images": {"vllm/vllm-openai:v0.20.0": image}}
    assert failed(REFERENCE, changes) == (set() if passes else {"DRV001"})


def test_forward_compatibility_takes_the_drivers_age_out_of_the_question() -> None:
    old = {"driver": {"version": "570.133.20", "cuda_version": "12.8"}}
    plan = replace(REFERENCE, environment=(Variable("VLLM_ENABLE_CUDA_COMPATIBILITY", "1", "", ""),))
    assert failed(plan, old) == set()


@pytest.mark.parametrize(("name", "value"), [("VLLM_ENABLE_CUDA_COMPATIBILITY", "0"), ("OTHER", "1")])
def test_no_other_variable_does(name: str, value: str) -> None:
    old = {"driver": {"version": "570.133.20", "cuda_version": "12.8"}}
    assert failed(replace(REFERENCE, environment=(Variable(name, value, "", ""),)), old) == {"DRV001"}


def test_an_image_of_which_nothing_is_known_is_not_judged_by_its_cuda() -> None:
    plan = replace(REFERENCE, stack=Stack("", "", ""))
    image = {"docker.images": {"vllm/vllm-openai:v0.20.0": {"id": "x"}}}
    assert result_of("DRV001", plan, image | {"driver": None}).status == "passed"
    plan = replace(REFERENCE, stack=Stack("13.0", "", ""))
    assert failed(plan, image | {"driver": {"version": "570.1", "cuda_version": "12.8"}}) == {"DRV001"}
    plan = replace(REFERENCE, stack=Stack("", "580.65.06", ""))
    assert failed(plan, image | {"driver": {"version": "570.1", "cuda_version": "12.8"}}) == {"DRV001"}


def test_gpus_reach_a_container_by_runtime_by_hook_or_by_cdi() -> None:
    plan = PLANS["default-runtime"]
    bare = {"docker.runtimes": ["runc"], "docker.gpu_hook_path": None}
    assert failed(plan, bare) == {"CTR003"}
    assert failed(plan, {"docker.runtimes": ["runc"]}) == set()
    assert failed(plan, bare | {"docker.cdi_devices": ["nvidia.com/gpu=all"]}) == set()
    assert failed(REFERENCE, bare | {"docker.cdi_devices": ["nvidia.com/gpu=all"]}) == {"CTR003"}


@pytest.mark.parametrize(
    ("state", "words"), [("down", "systemctl start"), ("denied", "docker group"), ("error", "docker version")]
)
def test_each_way_of_not_reaching_the_engine_has_its_own_advice(state: str, words: str) -> None:
    docker = {"cli_path": "/usr/bin/docker", "endpoint": "unix:///x.sock", "engine": state, "detail": "why"}
    found = result_of("CTR002", REFERENCE, {"docker": docker})
    assert words in found.message
    assert failed(REFERENCE, {"docker": docker}) == {"CTR002"}


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"state": "running"}, {"CTR005"}),
        ({"state": "restarting"}, {"CTR005"}),
        ({"state": "exited"}, set()),
        ({"state": "created"}, set()),
        ({"state": "exited", "labels": {"com.other": "1"}}, {"CTR005"}),
    ],
)
def test_a_stopped_container_of_ours_is_no_obstacle(changes: dict[str, Any], codes: set[str]) -> None:
    assert failed(REFERENCE, {"docker.containers": {"flash-b200": OURS | changes}}) == codes


def test_a_server_of_ours_that_holds_its_port_and_gpus_is_reported_once() -> None:
    held = {
        "ports": {"127.0.0.1:8000": {"free": False, "pid": 5, "process": "docker-proxy"}},
        "gpus.*.processes": [{"pid": 6, "name": "VLLM::Worker_TP0", "used_mib": 165000}],
        "gpus.*.memory_free_mib": 17000,
    }
    assert failed(REFERENCE, held | {"docker.containers": {"flash-b200": OURS}}) == {"CTR005"}
    stopped = held | {"docker.containers": {"flash-b200": OURS | {"state": "exited"}}}
    assert failed(REFERENCE, stopped) == {"GPU006", "NET001"}


@pytest.mark.parametrize(
    ("published", "passes"),
    [("0.0.0.0:8000", False), ("127.0.0.1:8000", False), ("10.0.0.5:8000", True), ("0.0.0.0:8001", True)],
)
def test_a_published_port_counts_even_where_nothing_listens(published: str, passes: bool) -> None:
    found = result_of("NET001", REFERENCE, {"docker.published": {published: "other"}})
    assert (found.status == "passed") is passes
    assert passes or "taken by container other" in found.message


@pytest.mark.parametrize("target", ["docker", "native"])
@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("0.0.0.0", True),
        ("::", True),
        ("[::]", True),
        ("8.8.8.8", True),
        ("2600::1", True),
        ("::ffff:8.8.8.8", True),
        ("node7.example.com", True),
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1%eth0", False),
        ("localhost", False),
        ("10.0.0.5", False),
        ("172.17.0.1", False),
        ("100.64.0.1", False),
        ("fd00::1", False),
    ],
)
def test_an_endpoint_that_others_reach_needs_a_key(
    host: str, public: bool, target: Literal["docker", "native"]
) -> None:
    plan = replace(REFERENCE, host=host, target=target)
    assert result_of("NET004", plan, {}).status == ("failed" if public else "not applicable")
    key = Variable("VLLM_API_KEY", None, "", "", env_from="VLLM_API_KEY")
    for guarded in (replace(plan, api_key_env="MY_KEY"), replace(plan, environment=(key,))):
        assert result_of("NET004", guarded, {}).status == ("passed" if public else "not applicable")


def test_an_open_endpoint_forbids_the_launch_unless_a_reason_is_given() -> None:
    (found,) = blocking(examine(PLANS["public"], good_host()))
    assert (found.code, found.severity) == ("NET004", "error")
    skipped = examine(PLANS["public"], good_host(), {"NET004": "a firewall before the node"})
    assert not blocking(skipped)
    assert [(r.code, r.why) for r in warnings(skipped)] == [("NET004", "a firewall before the node")]


def test_weights_that_are_there_need_no_room() -> None:
    full = {"disks.weights.free_bytes": 0, "hub.snapshots": {REPO: FULL}}
    assert failed(REFERENCE, full) == set()
    half = {"hub.snapshots": {REPO: HALF}}
    assert failed(REFERENCE, half | {"disks.weights.free_bytes": 61_000_000_000}) == set()
    assert failed(REFERENCE, half | {"disks.weights.free_bytes": 59_000_000_000}) == {"DSK001"}


def test_only_what_has_to_be_fetched_needs_room() -> None:
    full = {"disks.weights.free_bytes": 0, "disks.docker.free_bytes": 0}
    assert failed(PLANS["rehearsal"], full | {"docker.images": {"dsv4-rehearsal-cpu:0.32.0": None}}) == {"CTR007"}
    for change in ({"local": True}, {"weight_bytes": 0}):
        plan = replace(REFERENCE, model=replace(REFERENCE.model, **change))
        assert result_of("DSK001", plan, full).status == "not applicable"


def test_a_port_that_cannot_be_bound_says_why() -> None:
    for port, words in (({"detail": "Cannot assign requested address"}, "Cannot assign"), ({}, "in use")):
        found = result_of("NET001", REFERENCE, {"ports": {"127.0.0.1:8000": {"free": False} | port}})
        assert f"cannot be used ({words}" in found.message


def test_a_gated_checkpoint_that_is_there_needs_no_token() -> None:
    changes = {"hub.token_present": False, "hub.token_source": None, "hub.snapshots": {REPO: FULL}}
    assert failed(PLANS["gated"], changes) == set()
    assert failed(REFERENCE, {"hub.token_present": False, "hub.token_source": None}) == set()


def test_a_private_ipc_namespace_is_judged_by_its_own_shm() -> None:
    assert failed(PLANS["private-ipc"], {}) == {"MEM002"}
    assert failed(REFERENCE, {}) == set()
    for size, message in (("", "0.1 GiB"), ("1g", "1.0 GiB"), ("junk", "0.0 GiB"), ("8191m", "8.0 GiB")):
        container = replace(REFERENCE.container, ipc="private", shm_size=size)
        found = result_of("MEM002", replace(REFERENCE, container=container), {"system.shm_total_bytes": 2**50})
        assert f"The container's --shm-size is {message}" in found.message
    for size in ("8g", "8192m", "8388608k", "8589934592"):
        container = replace(REFERENCE.container, ipc="private", shm_size=size)
        assert failed(replace(REFERENCE, container=container), {"system.shm_total_bytes": 0}) == set()


def test_a_build_suffix_does_not_make_another_release() -> None:
    assert failed(PLANS["native"], {"native.version": "0.20.0+cu129"}) == set()
    assert failed(PLANS["native"], {"native.version": "0.20.1"}) == {"ENG002"}


def test_a_rehearsal_asks_for_no_gpu() -> None:
    nothing = {"gpus": None, "driver": None, "docker.runtimes": ["runc"], "docker.gpu_hook_path": None}
    assert failed(PLANS["rehearsal"], nothing) == set()
    results = examine(PLANS["rehearsal"], good_host(nothing))
    assert {r.status for r in results if r.code[:3] in ("GPU", "DRV", "FAB")} == {"not applicable"}
