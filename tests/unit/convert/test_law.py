"""The law: rendering what was imported from our own rendering gives the same bytes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from dsv4_launch.catalog.flags import versions
from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.cli.convert.converting import imported_text
from dsv4_launch.config.load import load
from dsv4_launch.errors import Dsv4Error
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.plan.types import Plan
from dsv4_launch.targets import render, shell

VERSIONS = ("0.20.0", "0.22.1", "0.25.1", "0.28.0", "0.30.0", "0.33.0")
# How many releases are too old for what a config asks: a checkpoint, a layout.
TOO_OLD = {"flash-0731-b200": 8, "flash-b200-dp8": 8, "flash-nvfp4-b200": 4}
CONFIG_LABEL = re.compile(r"--label (?:'dsv4\.config=[^\n]*?\}'|dsv4\.config=\S+)(?: \\\n  | )")


def imported_again(plan: Plan, text: str) -> Plan:
    """The plan of what was imported; a native command says neither release nor GPU, so they are told."""
    native = plan.target == "native"
    config, _ = imported_text(text, "t", plan.vllm if native else None, plan.gpus.key if native else None)
    return resolve(load(config, "imported.yaml"))


@pytest.mark.parametrize("target", ["docker", "native"])
@pytest.mark.parametrize("name", sorted(builtins()))
def test_every_built_in_on_every_release_comes_back(name: str, target: str):
    seen = 0
    for version in versions():
        try:
            plan = resolve(load_config(name, [f'vllm="{version}"'], target))
        except Dsv4Error:
            continue  # a release that cannot run this config
        seen += 1
        for form in (shell.multiline, shell.oneline):
            text = form(render(plan))
            assert form(render(imported_again(plan, text))) == text
            bare = CONFIG_LABEL.sub("", text)
            assert ("dsv4.config" in text) == (bare != text) == (target == "docker")
            assert CONFIG_LABEL.sub("", form(render(imported_again(plan, bare)))) == bare
    assert seen == len(versions()) - TOO_OLD.get(name, 0)


word = st.from_regex(r"[A-Za-z0-9_./:@%+,-]{1,12}", fullmatch=True)
line = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="\x7f\x85"),
    min_size=1,
    max_size=15,
)
env_name = st.from_regex(r"(NCCL|UCX|VLLM|MY)_[A-Z]{1,8}", fullmatch=True)
engine = st.fixed_dictionaries(
    {"kv_cache_dtype": st.just("fp8")},
    optional={
        "indexer_cache_dtype": st.sampled_from(["fp4", "fp8"]),
        "block_size": st.just(256),
        "max_model_len": st.sampled_from(["auto", 65536, "64k", "1M"]),
        "max_num_batched_tokens": st.sampled_from([8192, "8k", "16K"]),
        "gpu_memory_utilization": st.sampled_from([0.9, 0.85, 0.123, 1.0]),
        "compilation_config": st.fixed_dictionaries(
            {},
            optional={
                "cudagraph_mode": st.sampled_from(["FULL", "NONE"]),
                "mode": st.sampled_from([0, 3]),
                "custom_ops": st.just(["all", "-rms_norm"]),
                "cudagraph_capture_sizes": st.just([1, 2, 4]),
            },
        ),
        "trust_remote_code": st.booleans(),
        "enable_prefix_caching": st.booleans(),
        "enforce_eager": st.booleans(),
        "seed": st.integers(0, 99),
        "dtype": st.sampled_from(["auto", "bfloat16"]),
        "chat_template": line.filter(lambda text: not text.startswith("-")),
        "override_generation_config": st.dictionaries(word, st.one_of(st.integers(), st.booleans(), line), max_size=3),
        "allowed_origins": st.just(["*"]),
        "middleware": st.lists(word.filter(lambda w: not w.startswith("-")), min_size=1, max_size=3),
        "cudagraph_capture_sizes": st.lists(st.integers(1, 512), min_size=1, max_size=4),
        "attention_config.use_prefill_query_quantization": st.booleans(),
        "kernel_config.moe_backend": st.just("triton"),
        "download_dir": line.filter(lambda text: not text.startswith("-")),
        "tool_call_parser": st.just("deepseek_v4"),
    },
)
configs = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,10}", fullmatch=True),
        "model": st.one_of(
            st.sampled_from(["flash", "flash-0731"]),
            st.just({"repo": "deepseek-ai/DeepSeek-V4-Flash", "revision": "abc123"}),
            st.just({"repo": "me/My-Own-Flash", "variant": "flash"}),
            st.just({"path": "/data/v4-flash", "variant": "flash"}),
            st.just({"path": "~/models/my weights", "variant": "flash"}),
        ),
        "gpu": st.sampled_from(["b200", "h200"]),
        "engine": engine,
        "parallel": st.sampled_from([{"tensor": 4, "expert": True}, {"data": 8, "expert": True}, {"tensor": 2}, {}]),
        "target": st.sampled_from(
            [
                {"type": "docker"},
                {"type": "docker", "restart": "unless-stopped"},
                {"type": "docker", "restart": "on-failure:3"},
                {"type": "native"},
                {"type": "native", "executable": "/opt/vllm/bin/vllm"},
                {"type": "native", "executable": "~/my env/bin/vllm"},
            ]
        ),
    },
    optional={
        "gpus": st.sampled_from(["all", "auto", [0, 1, 2, 3, 4, 5, 6, 7]]),
        "env": st.dictionaries(
            st.one_of(
                env_name, st.sampled_from(["VLLM_ENGINE_READY_TIMEOUT_S", "TRITON_CACHE_DIR", "VLLM_CACHE_ROOT"])
            ),
            line,
            max_size=4,
        ),
        "server": st.fixed_dictionaries(
            {},
            optional={
                "host": st.sampled_from(["0.0.0.0", "127.0.0.1", "::1", "localhost"]),
                "port": st.sampled_from([8000, 8005]),
                "served_model_name": st.one_of(
                    word.filter(lambda w: not w.startswith("-")),
                    st.lists(word.filter(lambda w: not w.startswith("-")), min_size=1, max_size=3),
                ),
                "api_key_env": st.sampled_from(["VLLM_API_KEY", "MY_KEY"]),
            },
        ),
        "container": st.fixed_dictionaries(
            {},
            optional={
                "image": st.sampled_from(["my.reg:5000/team/vllm:custom", "vllm/vllm-openai:nightly"]),
                "ipc": st.sampled_from(["host", "private", "shareable"]),
                "shm_size": st.sampled_from(["16g", "1024"]),
                "runtime": st.sampled_from(["nvidia", "default"]),
                "network": st.sampled_from(["bridge", "host"]),
                "caches": st.booleans(),
                "mounts": st.lists(
                    st.fixed_dictionaries(
                        {"source": st.sampled_from(["/a b", "~/x", "~"]), "target": st.sampled_from(["/m", "/n/o"])},
                        optional={"read_only": st.booleans()},
                    ),
                    max_size=2,
                ),
                "ulimits": st.sampled_from([{"memlock": -1}, {"memlock": -1, "stack": 67108864}]),
                "options": st.sampled_from([["--device=/dev/infiniband"], ["--privileged", "--cap-add", "IPC_LOCK"]]),
            },
        ),
        "secrets": st.sampled_from([{"pass_through": ["HF_TOKEN"]}, {"pass_through": ["HF_TOKEN", "WANDB_API_KEY"]}]),
        "start": st.sampled_from([{"timeout_s": 600}, {"timeout_s": 7200}]),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=configs, version=st.sampled_from(VERSIONS))
@example(data={"name": "a", "model": "flash", "gpu": "b200", "parallel": {"tensor": 4}, "target": {"type": "native"},
               "engine": {"kv_cache_dtype": "fp8", "download_dir": "`"}, "env": {"NCCL_A": "`"}},
         version="0.20.0")  # fmt: skip
@example(data={"name": "a", "model": "flash", "gpu": "b200", "engine": {"kv_cache_dtype": "fp8"}, "parallel": {},
               "target": {"type": "docker"}, "env": {"TRITON_CACHE_DIR": "/x", "VLLM_ENGINE_READY_TIMEOUT_S": "9"}},
         version="0.20.0")  # fmt: skip
def test_any_config_comes_back(data: dict[str, Any], version: str):
    try:
        plan = resolve(load(yaml.safe_dump({**data, "vllm": version}, allow_unicode=True), "c.yaml"))
    except Dsv4Error:
        assume(False)
        return
    text = shell.multiline(render(plan))
    bare = CONFIG_LABEL.sub("", text)
    native = plan.target == "native"
    unnamed = not native and not plan_names_gpu(bare)
    config, notes = imported_text(
        bare,
        "t",
        plan.vllm if native or plan.container.image != f"vllm/vllm-openai:v{version}" else None,
        plan.gpus.key if native or unnamed else None,
    )
    again = resolve(load(config, "imported.yaml"))
    assert CONFIG_LABEL.sub("", shell.multiline(render(again))) == bare
    assert [note.text for note in notes if note.kind == "lost"] == []


def plan_names_gpu(text: str) -> bool:
    return "/dsv4/caches/" in text
