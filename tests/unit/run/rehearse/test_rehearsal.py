"""A config made a rehearsal: what differs is said, what the user wrote otherwise stays."""

from __future__ import annotations

from typing import Any

import pytest

from dsv4_launch.config.load import load
from dsv4_launch.errors import Dsv4Error
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.rehearse.config import rehearsed

BASE = """
name: mine
model: flash
vllm: "0.20.0"
gpu: b200
parallel: {tensor: 4, expert: true}
engine: {kv_cache_dtype: fp8, indexer_cache_dtype: fp4, block_size: 256, max_num_seqs: 77}
server: {host: 0.0.0.0, port: 8000, api_key_env: MY_KEY}
secrets: {pass_through: [A_TOKEN, B_TOKEN]}
container: {image: "vllm/vllm-openai:v0.20.0", shm_size: 128g, mounts: [{source: /data, target: /data}]}
target: {type: docker, restart: always}
"""


def make(text: str = BASE, target: Any = "native", variables: dict[str, str] | None = None, busy: int = 0) -> Plan:
    return rehearsed(
        load(text, "mine.yaml"),
        target,
        variables=variables or {},
        free_port=lambda _host, port: 9999 if port == busy else port,
    )


def said(plan: Plan) -> dict[str, str]:
    return {notice.subject.split(":")[0]: notice.subject for notice in plan.notices if notice.kind == "override"}


def argument(plan: Plan, name: str) -> Any:
    return next((a.value for a in plan.arguments if a.name == name), None)


def test_everything_that_differs_is_said() -> None:
    plan = make()
    assert plan.rehearsal
    assert (plan.name, plan.target, plan.host, plan.port) == ("mine-rehearsal", "native", "127.0.0.1", 8000)
    assert argument(plan, "max_num_seqs") == 77
    assert argument(plan, "block_size") == 256
    assert argument(plan, "enable_expert_parallel") is True
    assert plan.native.restart == "no"
    assert not plan.api_key_env
    assert not [v for v in plan.environment if v.value is None]
    assert set(said(plan)) >= {
        "name",
        "gpu",
        "vllm",
        "target.type",
        "target.restart",
        "server.host",
        "server.api_key_env",
        "secrets.pass_through",
        "parallel.tensor",
        "engine.indexer_cache_dtype",
    }
    assert "server.port" not in said(plan)


def test_a_busy_port_is_replaced() -> None:
    plan = make(busy=8000)
    assert plan.port == 9999
    assert "9999 instead of 8000" in said(plan)["server.port"]


def test_secrets_that_are_set_stay() -> None:
    plan = make(variables={"MY_KEY": "x", "A_TOKEN": "y"})
    assert plan.api_key_env == "MY_KEY"
    assert {v.name for v in plan.environment if v.value is None} == {"VLLM_API_KEY", "A_TOKEN"}


def test_in_docker_the_image_is_the_rehearsal_image_and_no_folder_of_production_is_mounted() -> None:
    plan = make(target="docker")
    assert plan.container.image.startswith("dsv4-rehearsal-cpu:")
    assert {bind.purpose for bind in plan.container.binds} == {"model", "caches"}
    assert set(said(plan)) >= {"container.image", "container.mounts", "container.shm_size", "target.restart"}
    assert "target.type" not in said(plan)


@pytest.mark.parametrize(
    ("model", "served"),
    [
        ("{repo: me/fine-tune, variant: flash, revision: abc}", "me/fine-tune"),
        ("{path: /weights/flash, variant: flash}", "mine"),
        ("flash", "deepseek-ai/DeepSeek-V4-Flash"),
    ],
)
def test_clients_ask_for_the_name_of_production(model: str, served: str) -> None:
    plan = make(BASE.replace("model: flash", f"model: {model}"))
    assert plan.served_model_names == (served,)
    assert plan.model.local
    assert not plan.model.revision


def test_an_argument_that_the_cpu_release_does_not_have_is_left_out_and_said() -> None:
    plan = make(BASE.replace("max_num_seqs: 77", "max_num_seqs: 77, max_num_partial_prefills: 1"))
    assert argument(plan, "max_num_partial_prefills") is None
    assert "engine.max_num_partial_prefills" in said(plan)


def test_a_config_that_is_wrong_for_its_own_gpu_is_wrong() -> None:
    with pytest.raises(Dsv4Error):
        make(BASE.replace("block_size: 256", "block_size: 257"))


def test_a_long_name_stays_a_name() -> None:
    name = "n" * 63
    plan = make(BASE.replace("name: mine", f"name: {name}"))
    assert len(plan.name) == 63
    assert plan.name.endswith("-rehearsal")
