"""Launches in every form that people write them."""

from __future__ import annotations

import pytest

from dsv4_launch.convert.read.find import find_launches
from dsv4_launch.convert.read.launch import Launch
from pasted import COMPOSE, DOCKERFILE, KUBERNETES, PAGE

MODEL = "deepseek-ai/DeepSeek-V4-Flash"


def only(text: str) -> Launch:
    (launch,) = find_launches(text)
    return launch


def engine(text: str) -> list[str]:
    return [word.text for word in only(text).engine]


@pytest.mark.parametrize(
    "text",
    [
        f"vllm serve {MODEL} --port 9000",
        f"$ vllm serve {MODEL} --port 9000",
        f"# vllm serve {MODEL} --port 9000",
        f"user@host:~$ vllm serve {MODEL} --port 9000",
        f"CUDA_VISIBLE_DEVICES=0,1 nohup vllm serve {MODEL} --port 9000 > log 2>&1 &",
        f"cd /srv && /opt/venv/bin/vllm serve {MODEL} --port 9000",
        f"bash -c 'source x; vllm serve {MODEL} --port 9000'",
        f'bash -lc "vllm serve {MODEL} --port 9000"',
        f"Run `vllm serve {MODEL} --port 9000` and wait.",
        f"python -m vllm.entrypoints.openai.api_server {MODEL} --port 9000",
        f"python3.12 -m vllm.entrypoints.cli.main serve {MODEL} --port 9000",
        f"MODEL={MODEL}\nvllm serve $MODEL --port ${{PORT:-9000}}",
        f"ARGS=(\n  vllm serve {MODEL}\n  --port 9000\n)",
        f"docker run --gpus all vllm/vllm-openai:v0.20.0 {MODEL} --port 9000",
        f"sudo podman run --device nvidia.com/gpu=all -it docker.io/vllm/vllm-openai {MODEL} --port 9000",
        f"nerdctl run -p8000:9000 --entrypoint vllm my/image serve {MODEL} --port 9000",
        f"docker run my/image bash -c 'vllm serve {MODEL} --port 9000'",
        f"docker run --entrypoint /bin/bash my/image -c 'export A=1; vllm serve {MODEL} --port 9000'",
        f"docker run --entrypoint python3 x/y -m vllm.entrypoints.openai.api_server {MODEL} --port 9000",
        f"```bash\nvllm serve {MODEL} \\\n  --port 9000\n```\nDon't forget.",
    ],
)
def test_the_words_behind_vllm_serve_are_the_same_in_every_form(text: str):
    assert engine(text) == [MODEL, "--port", "9000"]


def test_a_page_as_it_is_printed():
    launch = only(PAGE)
    assert launch.kind == "docker"
    assert launch.image is not None
    assert launch.image.text == "vllm/vllm-openai:v0.20.0"
    assert launch.engine[0].text == MODEL
    assert launch.engine[-1].text == "--trust-remote-code"
    assert {"interactive", "tty", "rm"} <= {option.name for option in launch.options}
    assert [(v.name, v.value) for v in launch.variables] == [("HF_TOKEN", "hf_notarealtokenbutlooksit")]
    for word in launch.engine:
        assert PAGE[word.start : word.end].strip("'") == word.text


def test_a_compose_file():
    launch = only(COMPOSE)
    assert (launch.kind, launch.name) == ("compose", "llm")
    assert launch.engine[1].text == MODEL
    assert {(v.name, v.value) for v in launch.variables} == {("HF_TOKEN", "${HF_TOKEN}"), ("NCCL_DEBUG", "INFO")}
    options = {option.name: option.value for option in launch.options}
    assert options["gpus"] == "device=0,1,2,3"
    assert options["publish"] == "8000:8000"
    assert options["ipc"] == "host"


def test_a_kubernetes_manifest():
    launch = only(KUBERNETES)
    assert launch.kind == "kubernetes"
    assert launch.engine[0].text == MODEL
    assert [(v.name, v.value) for v in launch.variables] == [("HF_TOKEN", None)]
    assert {o.name: o.value for o in launch.options} == {"name": "v4-flash", "gpus": "4", "shm-size": "32g"}
    assert KUBERNETES[launch.engine[5].start : launch.engine[5].end] == "0"


def test_a_dockerfile():
    launch = only(DOCKERFILE)
    assert launch.kind == "dockerfile"
    assert [w.text for w in launch.engine] == [MODEL, "--kv-cache-dtype", "fp8", "--tensor-parallel-size", "4"]
    assert DOCKERFILE[launch.engine[4].start : launch.engine[4].end] == "4"
    assert launch.variables[0].name == "NCCL_DEBUG"


def test_a_table_of_options():
    text = (
        "model: {path: me/x}\nvllm:\n  kv-cache-dtype: fp8\n  block_size: 256\n"
        "  trust-remote-code: true\n  enforce-eager: false\n  max-model-len: 4096\n"
    )
    assert engine(text) == [
        "me/x", "--kv-cache-dtype", "fp8", "--block_size", "256", "--trust-remote-code", "--max-model-len", "4096",
    ]  # fmt: skip


def test_what_is_exported_reaches_the_server_and_what_is_only_set_does_not():
    launch = only(f"export NCCL_DEBUG=INFO\nX=1\nY=2 vllm serve {MODEL}")
    assert [v.name for v in launch.variables] == ["NCCL_DEBUG", "Y"]


def test_two_commands_are_two_launches():
    text = f"vllm serve {MODEL} --port 1\n\nvllm serve {MODEL} --port 2\n"
    assert [launch.engine[-1].text for launch in find_launches(text)] == ["1", "2"]


@pytest.mark.parametrize(
    "text", ["", "hello", "docker ps", "docker build .", "kind: Pod\nspec: {}", "- [", "vllm bench"]
)
def test_a_text_without_a_launch_has_none(text: str):
    assert find_launches(text) == ()


@pytest.mark.parametrize("piece", ["- ", "[", "{a: ", "? ", "  - a:\n"])
def test_yaml_that_would_end_the_process_is_not_parsed(piece: str):
    assert find_launches("kind: Pod\nvllm: 1\n" + piece * 100_000) == ()


def test_aliases_do_not_multiply():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert find_launches("kind: Pod\nvllm: 1\n" + "\n".join(lines)) == ()
