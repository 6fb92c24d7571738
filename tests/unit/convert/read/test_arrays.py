"""Arrays of a script: judged where the script sets them for sure, and left to the shell where it may not."""

from __future__ import annotations

import pytest

from dsv4_launch.convert.lint.judge import lint
from dsv4_launch.convert.read.find import find_launches

SERVE = 'vllm serve deepseek-ai/DeepSeek-V4-Flash "${ARGS[@]}" --port 8000\n'


def engine(text: str) -> list[str]:
    (launch,) = find_launches(text)
    return [word.text for word in launch.engine]


@pytest.mark.parametrize(
    "script",
    [
        "ARGS=(--kv-cache-dtype fp8)\nARGS+=(--tensor-parallel-size 4)\n",
        "ARGS=(\n  --kv-cache-dtype fp8  # a comment\n  --tensor-parallel-size 4\n)\n",
        "TP=4\nARGS=(--kv-cache-dtype fp8 --tensor-parallel-size $TP)\n",
        "if true; then\n  echo\nfi\nstart() {\n  echo\n}\nARGS=(--kv-cache-dtype fp8 --tensor-parallel-size 4)\n",
        "ARGS=(--old)\nARGS=('--kv-cache-dtype' fp8 --tensor-parallel-size 4)\n",
    ],
)
def test_what_the_script_sets_for_sure_is_read_in_its_place(script: str):
    words = [
        "deepseek-ai/DeepSeek-V4-Flash",
        "--kv-cache-dtype",
        "fp8",
        "--tensor-parallel-size",
        "4",
        "--port",
        "8000",
    ]
    assert engine(script + SERVE) == words


@pytest.mark.parametrize(
    "script",
    [
        "",
        "ARGS=(--a)\nif [ $X ]; then\nARGS+=(--b)\nfi\n",
        "ARGS=(--a)\nif [ $X ]; then\n  ARGS+=(--b)\nfi\n",
        "ARGS=(--a)\n[ $X ] && ARGS+=(--b)\n",
        "f() {\nARGS=(--a)\n}\n",
        "for x in 1 2; do\nARGS+=(--a)\ndone\n",
        "ARGS=(--a 'unclosed)\n",
        "ARGS=(--a\n",
    ],
)
def test_what_may_not_be_so_stays_what_only_the_shell_knows(script: str):
    assert "${ARGS[@]}" in engine(script + SERVE)


def test_what_is_set_behind_the_command_does_not_count():
    assert "${ARGS[@]}" in engine(SERVE + "ARGS=(--kv-cache-dtype fp8)\n")


def test_a_fault_in_an_array_is_found_where_it_stands():
    text = "ARGS=(--kv-cache-dtype fp8 --block-size 0)\n" + SERVE
    (verdict,) = lint(text, "0.33.0", "b200")
    assert {text[slice(*f.span)] for f in verdict.errors} == {"--block-size 0"}
    assert "not-judged" not in {finding.code for finding in verdict.findings}


def test_json_without_quotes_behind_an_array_takes_no_word_of_it_away():
    text = 'ARGS=(--kv-cache-dtype fp8)\nvllm serve m/m --compilation-config {"mode":0} "${ARGS[@]}"\n'
    (verdict,) = lint(text, "0.25.1")
    assert "kv_cache_dtype" in verdict.imported.engine.parsed.given


def test_options_of_docker_are_read_from_arrays_too():
    text = 'MOUNTS=(-v /data/hf:/root/.cache/huggingface)\ndocker run "${MOUNTS[@]}" --gpus all vllm/vllm-openai m/m\n'
    (launch,) = find_launches(text)
    assert [option.name for option in launch.options] == ["volume", "gpus"]
