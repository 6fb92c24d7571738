"""`gpus: auto` from the shell to the process: free GPUs are taken, the choice is recorded, and it is no drift."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import Node, envelope, name_of
from e2e.native_box import Box, boxes, make_home
from e2e.nvml_shim import topology_file

BUSY = {"NVML_SHIM_FILE": str(topology_file("b200x8-first-4-busy"))}


def devices(node: Node, name: str) -> list[str]:
    (asked,) = json.loads(node.docker("inspect", "-f", "{{json .HostConfig.DeviceRequests}}", name))
    return list(asked["DeviceIDs"])


def test_a_container_gets_the_free_gpus_and_that_is_no_drift(node: Node) -> None:
    config = node.config(gpus="auto", standin={"READY_AFTER_S": "0.2"}, env={"VLLM_ALLREDUCE_USE_SYMM_MEM": "0"})
    name = name_of(config)
    tried = envelope(node.dsv4("serve", config, "--dry-run", "--output", "json", env=BUSY))
    assert tried["data"]["gpus"] == [4, 5, 6, 7]  # type: ignore[index]
    assert '"device=4,5,6,7"' in tried["data"]["argv"]  # type: ignore[index]
    served = node.dsv4("serve", config, env=BUSY)
    assert served.returncode == 0, served.stderr
    assert "gpus      4,5,6,7" in served.stdout
    assert devices(node, name) == ["4", "5", "6", "7"]
    # Now others are free: what runs is still this very plan.
    status = envelope(node.dsv4("status", config, "--output", "json"))
    (one,) = status["data"]["deployments"]  # type: ignore[index]
    assert (one["gpus"], one["drift"]) == ("4,5,6,7", "")
    assert "runs already, from this very plan" in node.dsv4("serve", config).stdout
    node.dsv4("stop", name)
    again = node.dsv4("serve", config, "--detach", "--output", "json")
    assert envelope(again)["data"]["gpus"] == [0, 1, 2, 3]  # type: ignore[index]
    assert devices(node, name) == ["0", "1", "2", "3"]


def test_a_part_of_a_fabric_that_may_hang_is_refused_before_anything_is_made(node: Node) -> None:
    config = node.config(gpus="auto")
    refused = node.dsv4("serve", config, env=BUSY)
    assert refused.returncode == 5
    assert "GPU012" in refused.stderr
    assert 'VLLM_ALLREDUCE_USE_SYMM_MEM: "0"' in refused.stderr
    assert node.state(name_of(config)) == ""


def test_a_shell_variable_names_them_for_a_launch_too(node: Node) -> None:
    config = node.config(gpus="auto", env={"VLLM_ALLREDUCE_USE_SYMM_MEM": "0"})
    done = node.dsv4("serve", config, "--dry-run", "--output", "json", env={"DSV4_GPUS": "1,3,5,7"})
    assert envelope(done)["data"]["gpus"] == [1, 3, 5, 7]  # type: ignore[index]
    wrong = node.dsv4("serve", config, "--dry-run", env={"DSV4_GPUS": "first four"})
    assert wrong.returncode == 2
    assert "DSV4_GPUS" in wrong.stderr


@pytest.fixture
def box(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    yield from boxes(tmp_path, make_home(tmp_path_factory.mktemp("home")))


def test_a_native_server_sees_the_free_gpus(box: Box, shim: dict[str, str]) -> None:
    model = box.env["DSV4_REHEARSAL_HOME"] + "/model"
    text = box.config.read_text().replace('gpu: "cpu"', 'gpu: "b200"\ngpus: auto\nvllm: "0.32.0"')
    text = text.replace('model: "flash"', f"model: {{path: {model}, variant: flash}}")
    wants = "parallel: {tensor: 4, expert: true}\nengine: {kv_cache_dtype: fp8}\n"
    box.config.write_text(text + wants + 'env: {VLLM_ALLREDUCE_USE_SYMM_MEM: "0"}\n')
    done = box.serve("--detach", "--skip", "ENG*=a stand-in", **{**shim, **BUSY})
    assert done.returncode == 0, done.stderr
    server = box.record()["server"]["pid"]  # type: ignore[index]
    found = dict(pair.split("=", 1) for pair in Path(f"/proc/{server}/environ").read_text().split("\0") if "=" in pair)
    assert (found["CUDA_VISIBLE_DEVICES"], found["CUDA_DEVICE_ORDER"]) == ("4,5,6,7", "PCI_BUS_ID")
    assert box.record()["gpus"] == "4,5,6,7"
    assert "gpus      4,5,6,7" in box.dsv4("status", box.name).stdout
    box.dsv4("stop", box.name)
    box.assert_gone()
