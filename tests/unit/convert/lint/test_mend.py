"""What `dsv4 lint` prints repaired: nothing lost that only a shell knows, nothing left that was told to leave out."""

from __future__ import annotations

import pytest

from dsv4_launch.cli.convert.repairing import repaired
from dsv4_launch.convert.lint.judge import lint

MODEL = "deepseek-ai/DeepSeek-V4-Flash"


def mended(text: str, vllm: str | None = "0.25.1", gpu: str | None = "b200") -> tuple[str, set[str]]:
    """The repaired command, and what is still found in it."""
    (verdict,) = lint(text, vllm, gpu)
    command = repaired(verdict, text)
    return command, {finding.code for finding in lint(command, vllm, gpu)[0].findings}


@pytest.mark.parametrize("spread", ['"${PARALLEL[@]}"', "${PARALLEL[*]}", '"$@"', "$PARALLEL"])
def test_words_that_only_a_shell_knows_stay_where_they_were_and_are_said(spread: str):
    text = f"vllm serve {MODEL} --kv-cache-dtype fp8 {spread} --block-size 256 {spread}"
    (verdict,) = lint(text, "0.25.1", "b200")
    (told,) = [finding for finding in verdict.findings if finding.code == "not-judged"]
    assert text[slice(*told.span)] == spread
    assert "PARALLEL" in told.why or "$@" in told.why
    lines = [line.strip(" \\") for line in repaired(verdict, text).splitlines()]
    assert lines[-4:] == ["--kv-cache-dtype fp8", spread, "--block-size 256", spread]


def test_options_of_docker_that_only_a_shell_knows_are_said():
    text = f'docker run --gpus all "${{MOUNTS[@]}}" vllm/vllm-openai:v0.25.1 {MODEL} --kv-cache-dtype fp8'
    (verdict,) = lint(text)
    assert "not-judged" in {finding.code for finding in verdict.findings}
    assert '"${MOUNTS[@]}"' in repaired(verdict, text)


def test_words_that_are_known_are_judged():
    assert "not-judged" not in {f.code for f in lint(f'vllm serve {MODEL} --port "$PORT"')[0].findings}


@pytest.mark.parametrize("rest", ["", " $MORE"])
def test_a_server_on_the_hosts_own_network_is_bound_to_this_machine(rest: str):
    for host in ("--host 0.0.0.0", "--host=0.0.0.0"):
        command, left = mended(f"vllm serve {MODEL} --kv-cache-dtype fp8 {host} --port 8001{rest}")
        assert "127.0.0.1" in command
        assert "0.0.0.0" not in command
        assert "D58" not in left
    options = "--gpus all --network host -p 8000:8000 --privileged"
    command, left = mended(
        f"docker run {options} vllm/vllm-openai:v0.25.1 {MODEL} --kv-cache-dtype fp8 --host 0.0.0.0{rest}"
    )
    assert "0.0.0.0" not in command
    assert not {"D58", "privileged", "publish-ignored"} & left
    assert "--network" in command


@pytest.mark.parametrize("rest", ["", " $MORE"])
def test_variables_that_nothing_reads_or_that_harm_are_left_out_and_said(rest: str):
    text = (
        "docker run --gpus all -e VLLM_RPC_TIMEOUT=600000 -e VLLM_DISABLE_COMPILE_CACHE=1 -e NCCL_DEBUG=INFO "
        f"vllm/vllm-openai:v0.25.1 {MODEL} --kv-cache-dtype fp8{rest}"
    )
    command, left = mended(text, None)
    assert command.startswith("# left out: VLLM_RPC_TIMEOUT=600000\n# left out: VLLM_DISABLE_COMPILE_CACHE=1\n")
    assert "--env VLLM_RPC" not in command
    assert "--env NCCL_DEBUG=INFO" in command
    assert not {"unknown-variable", "compile-cache-off"} & left


def test_a_variable_that_other_releases_read_is_no_misspelling():
    text = f"VLLM_RPC_TIMEOUT=1 vllm serve {MODEL} --kv-cache-dtype fp8"
    (told,) = [f for f in lint(text, "0.25.1")[0].findings if f.code == "unknown-variable"]
    assert told.why == "vLLM 0.25.1 reads no variable VLLM_RPC_TIMEOUT; 0.20.0 to 0.22.1 do"


def test_a_container_gets_the_shared_memory_that_it_lacked():
    command, left = mended(f"docker run --gpus all vllm/vllm-openai:v0.25.1 {MODEL} --kv-cache-dtype fp8 -tp 4", None)
    assert "--shm-size=16g" in command
    assert "D47" not in left


@pytest.mark.parametrize("rest", ["", " $MORE"])
def test_a_key_that_stood_in_the_command_still_guards_the_server(rest: str):
    for start in ("docker run --gpus all -p 8000:8000 vllm/vllm-openai:v0.25.1", "vllm serve"):
        command, _ = mended(f"{start} {MODEL} --kv-cache-dtype fp8 --api-key abcd-very-secret{rest}", None)
        assert "very-secret" not in command
        assert "export it first" in command
        assert ("--env VLLM_API_KEY" in command) == ("docker" in start)


def test_a_table_of_options_gets_its_own_variables_and_everybodys():
    options = "{kv-cache-dtype: fp8, max-model-len: 4096, max-num-seqs: 8, block-size: 256}"
    text = (
        f"env: {{NCCL_DEBUG: INFO}}\nprefill_environment: {{NCCL_X: '1'}}\ndecode_environment: {{NCCL_X: '2'}}\n"
        f"vllm_config:\n  prefill: {options}\n  decode: {options}\n"
    )
    first, second = (repaired(verdict, text) for verdict in lint(text))
    assert (first.count("NCCL_X=1"), first.count("NCCL_X=2"), first.count("NCCL_DEBUG=INFO")) == (1, 0, 1)
    assert (second.count("NCCL_X=1"), second.count("NCCL_X=2"), second.count("NCCL_DEBUG=INFO")) == (0, 1, 1)


def test_a_text_of_options_is_not_printed_in_the_place_of_its_model():
    text = 'extra: "--kv-cache-dtype fp8 --max-model-len 4096 --max-num-seqs 8"\nvllm: true\n'
    (verdict,) = lint(text)
    assert "not-judged" not in {finding.code for finding in verdict.findings}
    command = repaired(verdict, text)
    assert command.count("--kv-cache-dtype") == 1
    assert '"$MODEL"' in command


OLD_INDEXER = "attention_config.use_fp4_indexer_cache"


@pytest.mark.parametrize(
    ("words", "vllm", "gpu", "has", "has_not"),
    [
        ("-tp 4", "0.25.1", "b200", "--kv-cache-dtype fp8", ""),
        ("--kv-cache-dtype bfloat16", "0.25.1", "b200", "--kv-cache-dtype fp8", "bfloat16"),
        (f"--kv-cache-dtype fp8 --{OLD_INDEXER}=True", "0.32.0", "b200", "indexer_kv_dtype=mxfp4", "use_fp4"),
        (f"--kv-cache-dtype fp8 --{OLD_INDEXER} True", "0.32.0", "b200", "indexer_kv_dtype=mxfp4", "use_fp4"),
        (f"--kv-cache-dtype fp8 --{OLD_INDEXER} True", "0.25.1", "h200", "--kv-cache-dtype fp8", "use_fp4"),
        (
            "--kv-cache-dtype fp8 --attention-config '{\"use_fp4_indexer_cache\": true}'",
            *("0.32.0", "b200", "indexer_kv_dtype=mxfp4", "use_fp4"),
        ),
        (
            '--kv-cache-dtype fp8 --attention-config \'{"use_fp4_indexer_cache": true, "use_non_causal": false}\'',
            *("0.32.0", "b200", '"indexer_kv_dtype": "mxfp4"', "use_fp4"),
        ),
        ("--kv-cache-dtype fp8 --moe-backend deep_gemm_mega_moe", "0.25.1", "b200", "--enable-expert-parallel", ""),
    ],
)
def test_errors_are_mended_in_the_words_where_no_config_can_hold_them(words, vllm, gpu, has, has_not):
    text = f"vllm serve {MODEL} --port $PORT {words}"
    (verdict,) = lint(text, vllm, gpu)
    assert verdict.errors
    command, left = mended(text, vllm, gpu)
    assert has in command
    assert not has_not or has_not not in command
    assert not {finding.code for finding in verdict.errors} & left
    assert "--port $PORT" in command


def test_what_stays_wrong_is_said_above_the_command():
    command, left = mended(f"vllm serve {MODEL} --kv-cache-dtype fp8 --port $PORT --tensor-parallel-size 3")
    assert "tensor-parallel-divides" in left
    assert command.startswith("# still wrong, mend it by hand: tensor-parallel-divides. Use 1, 2, 4 or 8")
    assert "still wrong" not in mended(f"vllm serve {MODEL} --kv-cache-dtype fp8 --port $PORT")[0]
