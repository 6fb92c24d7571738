from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsv4_launch.catalog.client_effects import HOWS, effects
from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.plan.compare import Difference, compare, in_short, label
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.plan.types import Plan

PARTS = {"model", "endpoint", "argument", "target"}


def plan(*overrides: str, config: str = "flash-b200", target: str | None = None) -> Plan:
    return resolve(load_config(config, list(overrides), target))


def told(before: Plan, after: Plan) -> str:
    return "\n".join(effect.text for effect in compare(before, after).effects)


@pytest.mark.parametrize("name", builtins())
def test_a_plan_does_not_differ_from_itself(name: str) -> None:
    assert compare(plan(config=name), plan(config=name)) == compare(plan(), plan())
    assert compare(plan(), plan()).differences == ()


@settings(deadline=None)  # a busy machine is no slow program
@given(st.sampled_from([*builtins()]), st.sampled_from([*builtins()]))
def test_the_other_way_round_it_is_the_same_set_with_its_sides_exchanged(one: str, other: str) -> None:
    there = compare(plan(config=one), plan(config=other)).differences
    back = compare(plan(config=other), plan(config=one)).differences
    assert {(d.part, d.name, d.running, d.config) for d in there} == {
        (d.part, d.name, d.config, d.running) for d in back
    }
    assert all(d.running != d.config for d in there)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("server.port=9000", Difference("endpoint", "port", "8000", "9000")),
        ("server.served_model_name=m",
         Difference("endpoint", "served_model_name", "deepseek-ai/DeepSeek-V4-Flash", "m")),
        ("engine.max_num_seqs=7", Difference("argument", "max_num_seqs", "1024", "7")),
        ("engine.compilation_config.cudagraph_mode=NONE",
         Difference("argument", "compilation_config.cudagraph_mode", "FULL_AND_PIECEWISE", "NONE")),
        ("env.A=b", Difference("env", "A", None, "b")),
        ("container.image=vllm/vllm-openai:v0.20.0-cu130",
         Difference("container", "image", "vllm/vllm-openai:v0.20.0", "vllm/vllm-openai:v0.20.0-cu130")),
        ("target.restart=always", Difference("container", "restart", None, "always")),
        ("gpus=[0,1,2,3]", Difference("gpus", "visible", "all", "0,1,2,3")),
    ],
)  # fmt: skip
def test_each_value_is_compared(override: str, expected: Difference) -> None:
    assert expected in compare(plan(), plan(override)).differences


def test_another_target_and_another_name_are_differences() -> None:
    assert Difference("target", "target", "docker", "native") in compare(plan(), plan(target="native")).differences
    renamed = plan("name=x")
    assert [d.name for d in compare(plan(), renamed).differences] == ["name"]
    assert compare(plan(), renamed, names=False).differences == ()


def test_a_secret_is_compared_by_its_name_alone() -> None:
    found = compare(plan(), plan("server.api_key_env=MY_KEY"))
    assert Difference("env", "VLLM_API_KEY", None, "(from MY_KEY)") in found.differences
    assert "401" in told(plan(), plan("server.api_key_env=MY_KEY"))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ([], ["engine.max_model_len=64k"], "auto to 64k"),
        (["engine.max_model_len=64k"], ["engine.max_model_len=8192"], "8192 tokens, before 64k: longer requests"),
        (["engine.max_model_len=8192"], ["engine.max_model_len=64k"], "64k tokens, before 8192"),
        ([], ["engine.reasoning_parser=deepseek_v3"], "another parser"),
        ([], ["server.port=1"], "clients, proxies and tunnels must follow"),
        ([], ["server.served_model_name=m"], "get 404"),
    ],
)  # fmt: skip
def test_clients_are_told(before: list[str], after: list[str], says: str) -> None:
    assert says in told(plan(*before), plan(*after))


def test_a_newer_release_brings_its_changes_of_behaviour_unless_the_config_settles_them() -> None:
    newer = resolve(
        load_config("flash-b200-0.33", ["name=flash-b200", "engine.default_chat_template_kwargs=null"], None)
    )
    assert "replies think by default" in told(plan(), newer)
    assert "replies do not think by default" in told(newer, plan())
    settled = resolve(load_config("flash-b200-0.33", ["name=flash-b200"], None))
    assert "replies think by default" not in told(plan(), settled)


def test_in_short_names_what_differs_and_counts_the_rest() -> None:
    found = compare(plan(), plan("server.port=9", "engine.max_num_seqs=7", "env.A=b", "env.C=d")).differences
    text = in_short(found, 2)
    assert text.startswith("endpoint port 8000, not 9; ")
    assert text.endswith("; and 2 more")
    assert label(Difference("vllm", "vllm", "1", "2")) == "vllm"


def test_the_effects_are_about_what_is_compared_and_say_where_they_were_read() -> None:
    for effect in effects():
        assert effect.how in HOWS
        assert all(name.partition(".")[0] in PARTS for name in effect.about)
        assert set(re.findall(r"{(\w*)}", effect.text)) <= {"old", "new"}
        assert effect.source.startswith(("https://", "vllm "))
        assert effect.how != "gone" or "{new}" not in effect.text
        assert effect.how != "added" or "{old}" not in effect.text
