"""What a shell hands to docker when a person pastes the command: the documented arguments, and no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsv4_launch.cli.configs import load_config
from dsv4_launch.cli.convert.repairing import repaired
from dsv4_launch.convert.lint.judge import lint
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.targets import render, shell
from pasted import PAGE

# The documented vLLM arguments (Vultr inference cookbook, DeepSeek V4 Flash), with the JSON quoted once.
DOCUMENTED = """
deepseek-ai/DeepSeek-V4-Flash
--attention_config.use_fp4_indexer_cache=True
--kv-cache-dtype fp8 --block-size 256 --tensor-parallel-size 4 --enable-expert-parallel
--max-model-len auto --max-num-batched-tokens 65536
--compilation-config {"cudagraph_mode":"FULL_AND_PIECEWISE",_"custom_ops":["all"]}
--gpu-memory-utilization 0.90 --tool-call-parser deepseek_v4 --reasoning-parser deepseek_v4
--tokenizer-mode deepseek_v4 --enable-auto-tool-choice --max-num-seqs 1024 --trust-remote-code
""".replace("_\"", " \"").split()  # fmt: skip

RECORDER = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["RECORD"], "w") as file:
    json.dump(sys.argv[1:], file)
"""


def _documented() -> list[str]:
    words: list[str] = []
    for word in DOCUMENTED:
        if words and words[-1].startswith("{") and not words[-1].endswith("}"):
            words[-1] += " " + word
        else:
            words.append(word)
    return [*words, "--shutdown-timeout", "60"]  # ours: a stop lets running requests finish


@pytest.fixture
def paste(tmp_path):
    """Run shell text with a docker that only records, and give the words that it was handed."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(RECORDER)
    program.chmod(0o755)

    def run(text: str, shell_program: str = "bash", **env: str) -> list[str]:
        record = tmp_path / "record.json"
        base = {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": "/home/ada", "RECORD": str(record)}
        subprocess.run([shell_program], input=text, text=True, check=True, env={**base, **env}, cwd=tmp_path)
        return json.loads(record.read_text())

    return run


@pytest.mark.parametrize("shell_program", ["bash", "sh"])
@pytest.mark.parametrize("write", [shell.multiline, shell.oneline])
def test_docker_receives_the_documented_arguments(paste, shell_program, write):
    argv = paste(write(render(resolve(load_config(None)))), shell_program)
    image = argv.index("vllm/vllm-openai:v0.20.0")
    assert argv[image + 1 :] == _documented()
    options = argv[:image]
    for documented in ("--runtime=nvidia", "--ipc=host", "--shm-size=128g"):
        assert documented in options
    assert options[options.index("--gpus") + 1] == "all"
    assert options[options.index("-p") + 1] == "127.0.0.1:8000:8000"
    assert "/home/ada/.cache/huggingface:/root/.cache/huggingface" in options


def test_the_cache_follows_hf_home_and_xdg(paste):
    argv = paste(shell.oneline(render(resolve(load_config(None)))), HF_HOME="/data/my hf", XDG_CACHE_HOME="/data/x")
    assert "/data/my hf:/root/.cache/huggingface" in argv
    assert "/data/x/dsv4/caches/vllm-openai-v0.20.0-b200:/root/.cache/dsv4" in argv


def test_a_token_in_the_environment_does_not_reach_docker(paste):
    text = shell.multiline(render(resolve(load_config(None, ["server.api_key_env=MY_KEY"]))))
    argv = paste(text, HF_TOKEN="canary-token", MY_KEY="canary-key")
    assert "canary" not in " ".join(argv) + text
    assert argv[argv.index("VLLM_API_KEY") - 1] == "--env"


def test_a_missing_key_stops_the_paste_before_docker(paste):
    with pytest.raises(subprocess.CalledProcessError):
        paste(shell.multiline(render(resolve(load_config(None, ["server.api_key_env=MY_KEY"])))))


def test_gpus_and_hostile_values_arrive_as_they_are(paste):
    hostile = "a'b\"c$HOME`id`\\$(id)"
    config = load_config(None, ["gpus=[4,5,6,7]", f"env={json.dumps({'A': hostile})}"])
    argv = paste(shell.multiline(render(resolve(config))))
    assert argv[argv.index("--gpus") + 1] == '"device=4,5,6,7"'
    assert f"A={hostile}" in argv


def test_a_reader_that_leaves_is_no_bug_of_ours_and_no_success(tmp_path):
    """`dsv4 plan --explain | true`: what was not said was not judged either, and Python has nothing to complain of."""
    dsv4 = Path(sys.executable).with_name("dsv4")
    for arguments in (["schema"], ["validate", "flash-b200", "--output", "json"]):  # larger than a buffer, and smaller
        read, write = os.pipe()
        os.close(read)
        ran = subprocess.run([dsv4, *arguments], stdout=write, stderr=subprocess.PIPE, check=False, cwd=tmp_path)
        os.close(write)
        assert ran.returncode == 141
        assert b"Broken" not in ran.stderr
        assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_the_documented_page_repaired_is_read_by_a_shell_as_one_command(program, tmp_path):
    """As published the page is many commands; repaired, `bash -n` has no complaint and nothing runs behind it."""
    (verdict,) = lint(PAGE)
    command = repaired(verdict, PAGE)
    checked = subprocess.run([program, "-n"], input=command, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    # With docker as a function that counts, it is one command with the page's own words.
    counted = f"docker() {{ printf '%s\\n' \"$#\"; }}\n{command}\n"
    ran = subprocess.run([program], input=counted, text=True, capture_output=True, check=True, cwd=tmp_path)
    assert len(ran.stdout.splitlines()) == 1
    assert int(ran.stdout) > 40
    assert ran.stderr == ""


def test_the_command_is_executable_as_printed(paste, tmp_path):
    """`dsv4 render-cmd | bash`, the program itself."""
    dsv4 = Path(sys.executable).with_name("dsv4")
    text = subprocess.run([dsv4, "render-cmd"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert _documented() == paste(text)[-len(_documented()) :]
