from __future__ import annotations

import json
import shlex

import pytest

from dsv4_launch.cli.configs import load_config
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.plan.types import Plan
from dsv4_launch.targets import render, shell
from dsv4_launch.values import Command, Rendered, fill

PLACES = {
    "home": "/home/u",
    "hf_home": "/data/hf",
    "dsv4_cache": "/home/u/.cache/dsv4",
    "rehearsal_home": "/home/u/r",
    "user": "ada",
    "path": "/usr/bin",
}


def plan_of(*overrides: str, target: str | None = None, name: str = "flash-b200") -> Plan:
    return resolve(load_config(name, overrides, target))


def words(plan: Plan) -> list[str]:
    return [fill(word, PLACES) for word in render(plan).command.argv]


def value_of(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_docker_run_has_the_documented_container_options():
    argv = words(plan_of())
    image = argv.index("vllm/vllm-openai:v0.20.0")
    options = argv[:image]
    assert argv[:5] == ["docker", "run", "--detach", "--name", "flash-b200"]
    assert {"--runtime=nvidia", "--ipc=host", "--shm-size=128g"} <= set(options)
    assert value_of(options, "--gpus") == "all"
    assert value_of(options, "-p") == "127.0.0.1:8000:8000"
    assert "/data/hf:/root/.cache/huggingface" in options
    assert argv[image + 1] == "deepseek-ai/DeepSeek-V4-Flash"
    assert not {"-it", "--rm", "--privileged"} & set(options)
    assert "HF_TOKEN" not in " ".join(argv)


def test_every_cache_has_its_variable_below_the_cache_mount():
    argv = words(plan_of())
    mount = next(word for word in argv if word.endswith(":/root/.cache/dsv4"))
    assert mount == "/home/u/.cache/dsv4/caches/vllm-openai-v0.20.0-b200:/root/.cache/dsv4"
    env = dict(argv[n + 1].split("=", 1) for n, word in enumerate(argv) if word == "--env")
    for name in ("VLLM_CACHE_ROOT", "FLASHINFER_WORKSPACE_BASE", "TRITON_CACHE_DIR", "TILELANG_CACHE_DIR"):
        assert env[name].startswith("/root/.cache/dsv4/")
    assert len(set(env.values())) == len(env)
    assert "VLLM_CACHE_ROOT" not in " ".join(words(plan_of("container.caches=false")))


def test_a_pinned_image_is_the_same_image_with_a_cache_of_its_own():
    plan = plan_of(f"container.image='vllm/vllm-openai:v0.20.0@sha256:{'ab' * 32}'")
    assert plan.stack == plan_of().stack
    assert plan.stack.cuda
    (mount,) = [word for word in words(plan) if word.endswith(":/root/.cache/dsv4")]
    assert "/vllm-openai-v0.20.0-abababababab-b200:" in mount


def test_chosen_gpus_are_one_quoted_csv_value():
    assert value_of(words(plan_of("gpus=[4, 5, 6, 7]")), "--gpus") == '"device=4,5,6,7"'


def test_gpus_that_the_launch_chooses_are_a_placeholder_that_a_shell_can_paste():
    rendered = render(plan_of("gpus=auto"))
    assert value_of([fill(w, {**PLACES, "gpus": "4,5,6,7"}) for w in rendered.command.argv], "--gpus") == (
        '"device=4,5,6,7"'
    )
    assert '--gpus "\\"device=${DSV4_GPUS:-all}\\""' in shell.oneline(rendered)
    native = render(plan_of("gpus=auto", target="native"))
    assert shell.oneline(native).startswith(
        "VLLM_ENGINE_READY_TIMEOUT_S=3600 CUDA_DEVICE_ORDER=PCI_BUS_ID "
        'CUDA_VISIBLE_DEVICES="${DSV4_GPUS:-${CUDA_VISIBLE_DEVICES:-0,1,2,3,4,5,6,7}}" vllm serve'
    )


def test_which_gpus_a_launch_chose_is_a_label_and_not_part_of_the_digest():
    argv = render(plan_of("gpus=auto")).command.argv
    assert render(plan_of("gpus=auto")) == render(plan_of("gpus=auto"))
    filled = [[fill(word, {**PLACES, "gpus": gpus}) for word in argv] for gpus in ("0,1,2,3", "4,5,6,7")]
    digests = {next(word for word in words if word.startswith("dsv4.digest=")) for words in filled}
    assert len(digests) == 1
    assert "dsv4.gpus=4,5,6,7" in filled[1]
    assert not any("dsv4.gpus" in word for word in words(plan_of("gpus=[4, 5, 6, 7]")))


def test_other_container_options_are_rendered():
    argv = words(
        plan_of(
            "target={type: docker, restart: 'on-failure:3'}",
            "container.ulimits={memlock: -1}",
            "container.mounts=[{source: ~/data, target: /data}, {source: /x, target: /x, read_only: false}]",
            "server={host: '::1', port: 9000}",
            "env={A: 'b c'}",
        )
    )
    assert "--restart=on-failure:3" in argv
    assert value_of(argv, "--ulimit") == "memlock=-1"
    assert {"/home/u/data:/data:ro", "/x:/x", "A=b c"} <= set(argv)
    assert value_of(argv, "-p") == "[::1]:9000:8000"


def test_labels_say_what_runs_and_who_started_it():
    argv = words(plan_of())
    labels = dict(argv[n + 1].split("=", 1) for n, word in enumerate(argv) if word == "--label")
    assert labels["dsv4.name"] == "flash-b200"
    assert labels["dsv4.user"] == "ada"
    assert json.loads(labels["dsv4.config"])["engine"]["block_size"] == 256
    assert len(labels["dsv4.digest"]) == 16


def test_the_digest_follows_what_runs_and_nothing_else():
    def digest(*overrides: str) -> str:
        return next(word for word in words(plan_of(*overrides)) if word.startswith("dsv4.digest="))

    assert digest() == digest("start.timeout_s=3600")
    assert digest() != digest("engine.max_num_seqs=512")
    assert digest() != digest("server.port=8001")


def test_secrets_go_by_name():
    rendered = render(plan_of("server.api_key_env=MY_KEY"))
    assert "VLLM_API_KEY" in rendered.command.argv
    assert rendered.command.env_from == {"VLLM_API_KEY": "MY_KEY"}
    assert 'VLLM_API_KEY="${MY_KEY:?}"' in shell.oneline(rendered)


def test_native_has_host_port_and_its_environment_in_front():
    rendered = render(plan_of("gpus=[0, 1, 2, 3]", target="native"))
    assert rendered.command.argv[:7] == (
        "vllm", "serve", "deepseek-ai/DeepSeek-V4-Flash", "--host", "127.0.0.1", "--port", "8000",
    )  # fmt: skip
    assert rendered.command.env["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"
    assert shell.oneline(rendered).startswith(
        "VLLM_ENGINE_READY_TIMEOUT_S=3600 CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0,1,2,3 vllm serve"
    )


@pytest.mark.parametrize(
    ("program", "path"),
    [("/opt/v/bin/vllm", "/opt/v/bin:$PATH"), ("~/my env/bin/vllm", "$HOME/my env/bin:$PATH"), ("vllm", None)],
)
def test_a_program_named_by_its_path_has_its_folder_on_the_path(program: str, path: str | None):
    text = shell.oneline(render(plan_of(f"target={{type: native, executable: {program}}}")))
    assert (f'PATH="{path}" ' in text) == (path is not None)
    assert ("PATH=" in text) == (path is not None)


def test_a_revision_is_served_as_pinned():
    argv = words(plan_of("model={repo: deepseek-ai/DeepSeek-V4-Flash, revision: abc123}"))
    assert value_of(argv, "--revision") == "abc123"


@pytest.mark.parametrize("write", [shell.multiline, shell.oneline])
def test_shell_text_reads_back_as_the_words(write):
    rendered = render(plan_of("env={A: 'it''s $HOME `x` \\ \"q\"'}"))
    text = write(rendered).replace("\\\n", " ")
    for ref, place in (
        ("${HF_HOME:-$HOME/.cache/huggingface}", "/data/hf"),
        ("${XDG_CACHE_HOME:-$HOME/.cache}/dsv4", "/home/u/.cache/dsv4"),
        ("$(id -un)", "ada"),
    ):
        text = text.replace(ref, place)
    assert shlex.split(text) == [fill(word, PLACES) for word in rendered.command.argv]


def test_no_literal_tilde_in_any_word():
    for target in ("docker", "native"):
        rendered = render(plan_of("container.mounts=[{source: ~/data, target: /data}]", target=target))
        assert "~" not in shell.oneline(rendered)


def test_json_is_the_argv_array_with_tagged_placeholders():
    rendered = Rendered(Command(("a", *render(plan_of()).command.argv)))
    data = json.loads(shell.as_json(rendered))
    assert data[:3] == ["a", "docker", "run"]
    assert {"join": [{"ref": "hf_home"}, ":/root/.cache/huggingface"]} in data
