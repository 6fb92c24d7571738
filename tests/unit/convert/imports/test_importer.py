"""What a launch becomes as a config, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dsv4_launch.cli.convert.converting import imported_text
from dsv4_launch.config.load import load
from dsv4_launch.plan.resolve import resolve
from pasted import COMPOSE, DOCKERFILE, KUBERNETES, PAGE

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
RUN = f"docker run --gpus all --ipc=host -p 8000:8000 {{}} vllm/vllm-openai:v0.25.1 {MODEL} --kv-cache-dtype fp8 {{}}"


def config(text: str, gpu: str | None = "b200", vllm: str | None = None) -> dict[str, Any]:
    written, _ = imported_text(text, "t", vllm, gpu)
    resolve(load(written, "t.yaml"))  # it is a valid config
    data: dict[str, Any] = yaml.safe_load(written)
    return data


def notes(text: str) -> str:
    return "\n".join(note.text for note in imported_text(text, "t", None, None)[1])


def test_the_page_becomes_its_config():
    data = config(PAGE)
    assert data["model"] == "flash"
    assert data["vllm"] == "0.20.0"
    assert data["parallel"] == {"tensor": 4, "expert": True}
    assert data["engine"]["indexer_cache_dtype"] == "fp4"
    assert data["engine"]["compilation_config"] == {"cudagraph_mode": "FULL_AND_PIECEWISE", "custom_ops": ["all"]}
    assert data["server"] == {"host": "0.0.0.0", "port": 8000}
    assert data["secrets"] == {"pass_through": ["HF_TOKEN"]}
    assert data["container"] == {"runtime": "nvidia", "ipc": "host", "caches": False, "shm_size": "64g"}


def test_a_secret_is_never_in_the_config_or_its_comments():
    for text in (PAGE, RUN.format("-e VLLM_API_KEY=abcdefgh", "--api-key abcdefgh")):
        written, said = imported_text(text, "t", None, None)
        assert "notareal" not in written
        assert "abcdefgh" not in written + "".join(note.text for note in said)
    assert config(RUN.format("", "--api-key abcdefgh"))["server"]["api_key_env"] == "VLLM_API_KEY"


@pytest.mark.parametrize(
    ("options", "words", "where", "value"),
    [
        ("", "--seed 7", "engine.seed", 7),
        ("", "--no-enable-prefix-caching", "engine.enable_prefix_caching", False),
        ("", "--max-model-len 64k", "engine.max_model_len", "64k"),
        ("", "--max-model 8192", "engine.max_model_len", 8192),
        ("", "-O3", "engine.optimization_level", "3"),
        ("", "-tp 2", "parallel.tensor", 2),
        ("", "--kernel_config.moe_backend=triton", "engine.kernel_config.moe_backend", "triton"),
        ("", "--served-model-name a b", "server.served_model_name", ["a", "b"]),
        ("", "--revision abc", "model", {"repo": MODEL, "revision": "abc"}),
        ("-e NCCL_DEBUG=INFO", "", "env", {"NCCL_DEBUG": "INFO"}),
        ("-e VLLM_ENGINE_READY_TIMEOUT_S=900", "", "start.timeout_s", 900),
        ("--restart on-failure:2", "", "target.restart", "on-failure:2"),
        ("--ulimit memlock=-1:-1", "", "container.ulimits", {"memlock": -1}),
        ("--cap-add IPC_LOCK", "", "container.options", ["--cap-add", "IPC_LOCK"]),
        ("--network=host", "--port 9001", "server.port", 9001),
        ("-v /data:/data:ro", "", "container.mounts", [{"source": "/data", "target": "/data"}]),
        ("--shm-size 16gb", "", "container.shm_size", "16g"),
        ("--name My-Server", "", "name", "my-server"),
    ],
)
def test_each_thing_has_its_place(options: str, words: str, where: str, value: object):
    data: Any = config(RUN.format(options, words))
    found = data
    head, _, rest = where.partition(".")
    for key in (head, rest) if rest else (head,):
        found = found[key]
    assert found == value


def test_a_mounted_model_becomes_a_path_of_the_host():
    text = "docker run --gpus all -v $HOME/weights:/w:ro vllm/vllm-openai:v0.25.1 /w/v4-flash --kv-cache-dtype fp8"
    assert config(text)["model"] == {"path": "~/weights/v4-flash", "variant": "flash"}


def test_files_become_configs_too():
    data = config(COMPOSE)
    assert (data["name"], data["gpus"], data["env"]) == ("llm", [0, 1, 2, 3], {"NCCL_DEBUG": "INFO"})
    assert data["secrets"] == {"pass_through": ["HF_TOKEN"]}
    written, _ = imported_text(KUBERNETES, "t", None, "b200")
    assert yaml.safe_load(written)["engine"]["block_size"] == 0  # what vLLM would refuse is carried, and refused
    assert config(DOCKERFILE)["parallel"] == {"tensor": 4}


def test_a_native_command_becomes_a_native_config():
    data = config(
        f"export NCCL_DEBUG=INFO\nCUDA_VISIBLE_DEVICES=0,1 /opt/v/bin/vllm serve {MODEL} -tp 2 --kv-cache-dtype fp8",
        vllm="0.25.1",
    )
    assert data["target"] == {"type": "native", "executable": "/opt/v/bin/vllm"}
    assert data["gpus"] == [0, 1]
    assert data["env"] == {"NCCL_DEBUG": "INFO"}
    assert data["server"]["host"] == "0.0.0.0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RUN.format("-it --rm", ""), "-it is left out"),
        (RUN.format("", '--max-num-seqs "$N"'), "only the shell that runs it knows"),
        (RUN.format("", "stray"), "belongs to no option"),
        (RUN.format("-v /hf:/root/.cache/huggingface", ""), "HF_HOME=/hf"),
        (RUN.format("", "").replace("v0.25.1", "latest"), "names no release"),
        (RUN.format("", ""), "--gpu does"),
        (RUN.format("", "").replace("docker", "podman"), "podman"),
        (RUN.format("", "") + "\n\n" + RUN.format("", ""), "1 more launch of the text: import each by itself"),
    ],
)
def test_what_cannot_be_carried_is_said_and_stands_in_the_file(text: str, said: str):
    assert said in notes(text)
    comments = " ".join(
        line.lstrip("# ") for line in imported_text(text, "t", None, None)[0].splitlines() if line.startswith("#")
    )
    assert said in comments


def test_an_unknown_option_is_carried_verbatim():
    written, _ = imported_text(RUN.format("", "--brand-new-thing 5"), "t", None, "b200")
    assert yaml.safe_load(written)["engine"]["brand_new_thing"] == 5


@pytest.mark.parametrize("words", ['"${ARGS[@]}"', "$ARGS"])
def test_words_that_only_a_shell_knows_are_said_to_be_lost(words: str):
    said = notes(f"vllm serve {MODEL} {words} --kv-cache-dtype fp8")
    assert "ARGS" in said
    assert "unrecognized" not in said
