"""Remedies, told to somebody who has a command and no config."""

from __future__ import annotations

import re

import pytest

from dsv4_launch.catalog.advisories import config_advisories
from dsv4_launch.catalog.rules import constraints
from dsv4_launch.convert.lint.spoken import for_a_command
from dsv4_launch.convert.read.find import find_launches

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
TEXTS = {
    "docker": f"docker run --gpus all vllm/vllm-openai:v0.25.1 {MODEL}",
    "host": f"docker run --gpus all --network host vllm/vllm-openai:v0.25.1 {MODEL}",
    "native": f"vllm serve {MODEL}",
    "compose": f"services:\n  v4:\n    image: vllm/vllm-openai:v0.25.1\n    command: [{MODEL}]\n",
}
OF_A_CONFIG = re.compile(r"\b(engine|env|parallel|container|server|start|model|target|secrets)\.[a-z]")


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("release", ["0.20.0", "0.33.0"])
def test_no_finding_of_a_command_speaks_of_a_config(kind: str, release: str):
    (launch,) = find_launches(TEXTS[kind])
    said = [text for a in config_advisories() for text in (a.title, a.cause, a.fix)]
    said += [text for c in constraints() for text in (c.name, c.why, c.fix)]
    assert [text for text in said if OF_A_CONFIG.search(for_a_command(text, launch, release))] == []


@pytest.mark.parametrize(
    ("kind", "text", "spoken"),
    [
        ("native", "Set engine.block_size: 256, or leave it out.", "Set --block-size 256, or leave it out."),
        ("native", "Set engine.disable_custom_all_reduce: true.", "Set --disable-custom-all-reduce."),
        ("native", "Set engine.enable_flashinfer_autotune: false.", "Set --no-enable-flashinfer-autotune."),
        ("native", "Leave engine.moe_backend out.", "Leave --moe-backend out."),
        ("native", "engine.compilation_config.cudagraph_mode: NONE", "--compilation-config.cudagraph_mode=NONE"),
        (
            "native",
            "engine.default_chat_template_kwargs: {thinking: false}",
            "--default-chat-template-kwargs '{\"thinking\": false}'",
        ),
        ("native", 'Set env.VLLM_X: "0".', "Set VLLM_X=0."),
        ("docker", 'Set env.VLLM_X: "0".', "Set -e VLLM_X=0."),
        ("docker", "Leave env.VLLM_X out.", "Leave VLLM_X out."),
        ("docker", "container.ipc: host, or container.shm_size: 16g or more", "--ipc=host, or --shm-size=16g or more"),
        ("compose", "container.ipc: host, or container.shm_size: 16g", "ipc: host, or shm_size: 16g"),
        ("docker", "server.host: 127.0.0.1", "-p 127.0.0.1:8000:8000"),
        ("host", "server.host: 127.0.0.1", "--host 127.0.0.1"),
        ("native", "server.host: 127.0.0.1 and server.api_key_env", "--host 127.0.0.1 and VLLM_API_KEY"),
        ("native", "engine.indexer_cache_dtype: fp4", "--attention_config.use_fp4_indexer_cache=True"),
    ],
)
def test_paths_become_options_and_variables(kind: str, text: str, spoken: str):
    (launch,) = find_launches(TEXTS[kind])
    assert for_a_command(text, launch, "0.25.1") == spoken
