from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.config.load import load
from dsv4_launch.errors import ImpossibleError, InputError, Problem
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.plan.types import Plan
from dsv4_launch.targets import render
from dsv4_launch.values import Ref, joined

# Ours, after what the page and the config say: a stop lets running requests finish.
DRAIN = ["--shutdown-timeout", "60"]
SMALL = 'name: x\nmodel: flash\nvllm: "0.20.0"\ngpu: b200\n'


def plan_of(text: str, *overrides: str) -> Plan:
    return resolve(load(text, "c.yaml", overrides))


def argv_of(plan: Plan) -> list[str]:
    return [word for argument in plan.arguments for word in argument.argv if isinstance(word, str)]


def refused(text: str, *overrides: str) -> tuple[type[Exception], tuple[Problem, ...]]:
    with pytest.raises((InputError, ImpossibleError)) as caught:
        plan_of(text, *overrides)
    return type(caught.value), caught.value.problems


def test_the_default_config_gives_the_documented_arguments_flag_for_flag_and_in_order():
    plan = resolve(load_config(None))
    assert argv_of(plan) == [
        "--attention_config.use_fp4_indexer_cache=True",
        "--kv-cache-dtype", "fp8",
        "--block-size", "256",
        "--tensor-parallel-size", "4",
        "--enable-expert-parallel",
        "--max-model-len", "auto",
        "--max-num-batched-tokens", "65536",
        "--compilation-config", '{"cudagraph_mode":"FULL_AND_PIECEWISE", "custom_ops":["all"]}',
        "--gpu-memory-utilization", "0.90",
        "--tool-call-parser", "deepseek_v4",
        "--reasoning-parser", "deepseek_v4",
        "--tokenizer-mode", "deepseek_v4",
        "--enable-auto-tool-choice",
        "--max-num-seqs", "1024",
        "--trust-remote-code",
        *DRAIN,
    ]  # fmt: skip
    assert plan.model.served == "deepseek-ai/DeepSeek-V4-Flash"
    assert plan.container.image == "vllm/vllm-openai:v0.20.0"


@pytest.mark.parametrize(
    ("vllm", "want"),
    [
        ("0.20.0", "--attention_config.use_fp4_indexer_cache=True"),
        ("0.25.1", "--attention_config.use_fp4_indexer_cache=True"),
        ("0.28.0", "--attention_config.indexer_kv_dtype=mxfp4"),
        ("0.33.0", "--attention_config.indexer_kv_dtype=mxfp4"),
    ],
)
def test_the_indexer_cache_has_the_name_that_its_release_knows(vllm, want):
    plan = plan_of(SMALL, f"vllm='{vllm}'", "engine.indexer_cache_dtype=fp4")
    assert [word for word in argv_of(plan) if "indexer" in word] == [want]


def test_every_argument_says_why_and_where():
    plan = resolve(load_config("flash-b200"))
    sources = {argument.name: argument.source for argument in plan.arguments}
    assert sources["kv_cache_dtype"].startswith("flash-b200.yaml:")
    assert sources["attention_config.use_fp4_indexer_cache"].startswith("vllm 0.20.0 ")
    assert all(argument.why for argument in plan.arguments)


@pytest.mark.parametrize("name", builtins())
def test_built_in_configs_resolve_for_both_targets_and_come_back_from_json(name):
    for target in ("docker", "native"):
        plan = resolve(load_config(name, target=target))
        assert Plan.from_json(plan.to_json()) == plan
        assert render(plan) == render(resolve(load_config(name, target=target)))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"name": 3}', json.dumps({"name": "x", "target": "podman"})])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(InputError):
        Plan.from_json(text)


def test_a_plan_is_frozen():
    with pytest.raises(FrozenInstanceError):
        plan_of(SMALL).name = "y"  # type: ignore[misc]


def test_what_a_config_leaves_open_is_filled_in_with_a_reason():
    arguments = {argument.name: argument for argument in plan_of(SMALL).arguments}
    assert arguments["kv_cache_dtype"].value == "fp8"
    assert arguments["kv_cache_dtype"].source.startswith("vllm 0.20.0")
    assert "kv_cache_dtype" not in {a.name for a in plan_of(SMALL, "vllm='0.33.0'").arguments}


def test_other_arguments_of_the_release_pass_in_the_order_of_the_config():
    plan = plan_of(SMALL, "engine={stream-interval: 4, kv_cache_dtype: fp8, seed: 7, enable_prefix_caching: false}")
    assert argv_of(plan) == [
        "--kv-cache-dtype", "fp8", "--stream-interval", "4", "--seed", "7", "--no-enable-prefix-caching", *DRAIN,
    ]  # fmt: skip


# What vLLM, the model or the GPU refuses: the code, the exit (3 input, 4 cannot be), and that the fix is named.
@pytest.mark.parametrize(
    ("overrides", "kind", "code", "fix"),
    [
        (["gpu=b201"], InputError, "gpu-unknown", "b200"),
        (["gpu=l20"], ImpossibleError, "gpu-unsupported", "b200"),
        (["model=flsh"], InputError, "model-unknown", "Did you mean flash?"),
        (["model={repo: a/b}"], InputError, "model", "variant"),
        (["model={repo: a/b, path: /x, variant: flash}"], InputError, "model", ""),
        (["container.image='other/vllm:v0.28.0'"], InputError, "version-conflict", "agree"),
        (["model=flash-nvfp4"], ImpossibleError, "version-too-old", "newer"),
        (["vllm='0.19.0'"], ImpossibleError, "version-too-old", "0.20.0"),
        (["vllm='0.20'"], InputError, "version-short", "0.20.0"),
        (["server.host=localhost"], InputError, "host-not-address", "127.0.0.1"),
        (["engine={model: foo}"], InputError, "flag-misplaced", "model"),
        (["env={HF_ENDPOINT: 'https://u:canary@hub'}"], InputError, "secret-in-config", "pass_through"),
        (["env={X: 'Bearer canary'}"], InputError, "secret-in-config", "pass_through"),
        (["env={MY_PASS: canary}"], InputError, "secret-in-config", "pass_through"),
        (["gpu=h200", "engine.indexer_cache_dtype=fp4"], ImpossibleError, "indexer-fp4-needs-sm100", "fp8"),
        (["engine.kv_cache_dtype=auto"], ImpossibleError, "kv-cache-needs-fp8", "fp8"),
        (["engine.block_size=128"], ImpossibleError, "block-size-256", "256"),
        (["parallel.tensor=3"], ImpossibleError, "tensor-parallel-divides", "1, 2, 4 or 8"),
        (["parallel={tensor: 1, data: 6, expert: true}"], ImpossibleError, "experts-divide", ""),
        (["parallel.pipeline=2"], ImpossibleError, "pipeline-needs-0.21", "0.21.0"),
        (["parallel={tensor: 8, data: 2}"], ImpossibleError, "layout", "Lower"),
        (["parallel.tensor=4", "gpus=[0, 1]"], ImpossibleError, "layout", "List more"),
        (["gpus=[0, 0]"], InputError, "gpus", ""),
        (["engine={max_num_seqs: 512, max_num_batched_tokens: 256}"], ImpossibleError, "batch-holds-seqs", "Raise"),
        (["engine={max_num_seqs: 1025, max_num_batched_tokens: 1K}"], ImpossibleError, "batch-holds-seqs", "Raise"),
        (["engine={enable_auto_tool_choice: true}"], ImpossibleError, "tool-choice-needs-parser", "deepseek_v4"),
        (["engine={moe_backend: deep_gemm_mega_moe}"], ImpossibleError, "mega-moe-needs-ep", "expert"),
        (
            ["gpu=h200", "parallel.expert=true", "engine={moe_backend: deep_gemm_mega_moe}"],
            ImpossibleError, "mega-moe-needs-sm100", "out",
        ),
        (
            ["engine={speculative_config: {method: mtp, num_speculative_tokens: 1}}"],
            ImpossibleError, "mtp-hangs-before-0.20.1", "0.20.2",
        ),
        (
            ["vllm='0.25.1'", "engine={speculative_config: {method: dspark, num_speculative_tokens: 5}}"],
            ImpossibleError, "dspark-needs-module", "mtp",
        ),
        (
            ["vllm='0.25.1'", "model=flash-0731", "engine={speculative_config: {method: mtp}}"],
            ImpossibleError, "mtp-needs-module", "dspark",
        ),
        (["engine={linear_backend: auto}"], ImpossibleError, "flag-not-in-release", "release"),
        (["engine={max_num_seq: 4}"], InputError, "flag-unknown", "max_num_seqs"),
        (["engine={moe_backend: fastest}"], InputError, "flag-value", ""),
        (["engine={seed: many}"], InputError, "flag-value", ""),
        (["engine={compilation_config: {level: 3}}"], InputError, "flag-value", ""),
        (["vllm='0.30.0'", "engine={attention_config: {use_fp4_indexer_cache: true}}"], InputError, "flag-value", ""),
        (["engine={tensor_parallel_size: 4}"], InputError, "flag-misplaced", "parallel.tensor"),
        (["engine={api_key: canary}"], InputError, "secret-in-config", "server.api_key_env"),
        (["env={HF_TOKEN: canary}"], InputError, "secret-in-config", "pass_through"),
        (["secrets={hf_token: hf_canarycanarycanarycanary}"], InputError, "secret-in-config", "variable"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_fix(overrides, kind, code, fix):
    raised, problems = refused(SMALL, *overrides)
    assert [problem.code for problem in problems] == [code]
    assert raised is kind
    assert fix in problems[0].fix
    assert problems[0].where.startswith(("--set", "c.yaml"))
    assert "canary" not in repr(problems)


def test_problems_of_all_kinds_are_told_together_and_the_input_is_the_more_basic():
    raised, problems = refused(SMALL, "engine={max_num_seq: 4, block_size: 128}", "parallel.tensor=3")
    assert {problem.code for problem in problems} == {"flag-unknown", "block-size-256", "tensor-parallel-divides"}
    assert raised is InputError


def test_a_rehearsal_drops_what_needs_cuda_and_says_so():
    plan = resolve(load_config("flash-b200", ["gpu=cpu", "vllm='0.32.0'"]))
    words = argv_of(plan)
    assert "--tensor-parallel-size" not in words
    assert not [word for word in words if "indexer" in word]
    assert {"--enable-expert-parallel", "--kv-cache-dtype", "--enable-auto-tool-choice"} <= set(words)
    assert plan.gpus.count == 0
    assert plan.rehearsal
    assert plan.served_model_names == ("deepseek-ai/DeepSeek-V4-Flash",)
    overridden = {notice.subject.split(":")[0] for notice in plan.notices if notice.kind == "override"}
    assert {"parallel.tensor", "engine.indexer_cache_dtype", "container.runtime"} <= overridden
    assert "--gpus" not in render(plan).command.argv


def test_a_rule_about_a_key_joins_the_table_that_the_config_wrote():
    # vLLM would let --compilation-config.mode=0 replace the whole --compilation-config '{…}' beside it.
    rehearsal = {a.name: a for a in resolve(load_config("flash-b200", ["gpu=cpu", "vllm='0.32.0'"])).arguments}
    assert rehearsal["compilation_config"].value["mode"] == 0
    assert rehearsal["compilation_config"].value["cudagraph_mode"] == "FULL_AND_PIECEWISE"
    asked = plan_of(SMALL, "gpu=cpu", "vllm='0.32.0'", "engine={compilation_config: {mode: 3}}")
    assert {a.name: a.value for a in asked.arguments}["compilation_config"] == {"mode": 3}
    alone = plan_of(SMALL, "gpu=cpu", "vllm='0.32.0'")
    assert "--compilation_config.mode=0" in argv_of(alone)
    both = plan_of(
        SMALL, "vllm='0.33.0'", "engine={indexer_cache_dtype: fp4, attention_config: {flash_attn_version: 2}}"
    )
    assert {a.name: a.value for a in both.arguments}["attention_config"] == {
        "flash_attn_version": 2,
        "indexer_kv_dtype": "mxfp4",
    }


def test_a_rehearsal_serves_the_tiny_model_from_its_own_place():
    folder = joined(Ref("rehearsal_home"), "/model")
    assert resolve(load_config("flash-b200", ["gpu=cpu", "vllm='0.32.0'"], "native")).model.served == folder
    docker = resolve(load_config("flash-b200", ["gpu=cpu", "vllm='0.32.0'"]))
    assert docker.model.served == "/model"
    assert folder in [bind.source for bind in docker.container.binds]


def test_a_custom_build_takes_the_nearest_release_and_says_so():
    plan = plan_of(SMALL, "vllm='0.20.1rc1.dev144+gabc'", "container.image=my/vllm:nightly")
    assert plan.vllm == "0.20.1rc1.dev144+gabc"
    assert any("0.20.0" in notice.why for notice in plan.notices if notice.kind == "warning")


def test_the_release_may_come_from_the_image_tag():
    text = SMALL.replace('vllm: "0.20.0"\n', "container: {image: 'vllm/vllm-openai:v0.28.0-cu129'}\n")
    assert plan_of(text).vllm == "0.28.0"
    raised, (problem,) = refused(SMALL.replace('vllm: "0.20.0"\n', ""))
    assert (raised, problem.code) == (InputError, "version-missing")


def test_the_key_goes_by_name_and_never_by_value():
    plan = plan_of(SMALL, "server.api_key_env=MY_KEY", "secrets.pass_through=[OTHER]")
    assert {v.name: (v.value, v.env_from) for v in plan.environment if v.value is None} == {
        "VLLM_API_KEY": (None, "MY_KEY"),
        "OTHER": (None, "OTHER"),
    }


def test_used_gpus_are_the_first_of_the_visible_ones():
    assert plan_of(SMALL, "parallel.tensor=4").gpus.used == (0, 1, 2, 3)
    assert plan_of(SMALL, "parallel.tensor=2", "gpus=[4, 5, 6]").gpus.used == (4, 5)


@pytest.mark.parametrize("target", ["docker", "native"])
def test_an_offline_start_asks_the_hub_for_nothing_and_says_why(target):
    plan = plan_of(SMALL, "hub.offline=true", f"target={{type: {target}}}")
    (found,) = [variable for variable in plan.environment if variable.name == "HF_HUB_OFFLINE"]
    assert (found.value, found.source) == ("1", "--set hub.offline")
    assert "pulled on the host" in found.why


def test_the_environment_of_the_config_has_the_last_word_on_offline():
    plan = plan_of(SMALL, "hub.offline=true", "env.HF_HUB_OFFLINE='0'")
    assert [v.value for v in plan.environment if v.name == "HF_HUB_OFFLINE"] == ["0"]


def test_built_in_configs_start_offline_but_the_documented_one_which_stays_as_it_is():
    offline = {
        name: any(v.name == "HF_HUB_OFFLINE" for v in resolve(load_config(name)).environment) for name in builtins()
    }
    assert [name for name, is_offline in offline.items() if not is_offline] == ["flash-b200"]
