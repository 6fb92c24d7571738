"""What lint finds, where, and how bad it is."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsv4_launch.catalog.lint import fault_kinds, lint_rules
from dsv4_launch.cli.convert.converting import imported_text
from dsv4_launch.cli.convert.repairing import repaired
from dsv4_launch.convert.lint.judge import lint, lint_argv
from dsv4_launch.convert.read.find import find_launches
from dsv4_launch.errors import InputError
from dsv4_launch.plan.conditions import KINDS, kinds
from pasted import COMPOSE, DOCKERFILE, KUBERNETES, PAGE, SOUND

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
GOOD = [MODEL, "--kv-cache-dtype", "fp8", "--block-size", "256", "--tensor-parallel-size", "4"]
DOCKER = (
    "docker run -d --gpus all --ipc=host -p 127.0.0.1:8000:8000 -v ~/.cache/huggingface:/root/.cache/huggingface "
    f"{{}}vllm/vllm-openai:v0.25.1 {MODEL} --kv-cache-dtype fp8 {{}}"
)


def found(text: str, vllm: str | None = None, gpu: str | None = None) -> dict[str, tuple[str, str]]:
    """Code to severity and words."""
    return {
        f.code: (f.severity, text[f.span[0] : f.span[1]]) for verdict in lint(text, vllm, gpu) for f in verdict.findings
    }


def errors(*words: str, vllm: str = "0.25.1", gpu: str | None = "b200") -> set[str]:
    return {finding.code for finding in lint_argv([*GOOD, *words], vllm, gpu).errors}


def test_the_faults_of_a_page_are_found_where_they_stand():
    codes = found(PAGE)
    assert codes["missing-continuation"][0] == "error"
    assert codes["escaped-json"] == ("error", PAGE[PAGE.index("'{") : PAGE.index("}'") + 2])
    assert codes["secret-on-command-line"] == ("warning", "-e HF_TOKEN='hf_notarealtokenbutlooksit'")
    assert codes["tied-to-a-terminal"] == ("warning", "-it")
    assert codes["removed-with-its-caches"] == ("warning", "--rm")
    assert codes["D30"][0] == "warning"
    assert codes["D58"] == ("warning", "-p 8000:8000")
    assert codes["D55"] == ("warning", "vllm/vllm-openai:v0.20.0")


def test_the_page_is_repaired_into_a_command_without_its_faults():
    (verdict,) = lint(PAGE)
    command = repaired(verdict, PAGE)
    assert '\'{"cudagraph_mode":"FULL_AND_PIECEWISE", "custom_ops":["all"]}\'' in command
    assert "hf_notareal" not in command
    again = found(command)
    assert not [code for code, (severity, _) in again.items() if severity == "error"]
    assert not {"D58", "D30", "tied-to-a-terminal", "removed-with-its-caches", "secret-on-command-line"} & set(again)
    assert "-p 127.0.0.1:8000:8000" in command


def test_a_sound_command_has_no_errors_on_any_gpu_that_is_named_or_not():
    for gpu in (None, "b200", "h200"):
        assert not [f for f in lint(SOUND, None, gpu)[0].findings if f.severity == "error"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--gpu-memory-utilization", "1.01"], "gpu-memory-utilization-range"),
        (["--tool-call-parser", "deepseek_v9", "--enable-auto-tool-choice"], "parser-unknown"),
        (["--reasoning-parser", "deepseek_v4x"], "parser-unknown"),
        (["--no-such-option", "1"], "unknown-option"),
        (["--max-model-len"], "value-missing"),
        (["--compilation-config", "{mode: 1}"], "value-refused"),
        (["--enable-auto-tool-choice"], "tool-choice-needs-parser"),
        (["--moe-backend", "deep_gemm_mega_moe"], "mega-moe-needs-ep"),
        (["stray"], "unrecognized"),
        (["--tensor-parallel-size", "3"], "tensor-parallel-divides"),
    ],
)
def test_what_vllm_would_refuse_or_stop_at_is_an_error(words: list[str], code: str):
    assert code in errors(*words)
    assert errors() == set()


def test_values_that_older_releases_parse_and_stop_at_are_errors_there_too():
    assert "block-size-range" in {
        f.code for f in lint_argv([MODEL, "--kv-cache-dtype", "fp8", "--block-size", "0"], "0.20.0").errors
    }
    assert errors("--block-size", "0", vllm="0.33.0")


def test_a_missing_kv_cache_type_is_an_error_before_0_30_only_and_not_when_words_are_unknown():
    assert {f.code for f in lint_argv([MODEL], "0.20.0").errors} == {"D04"}
    assert not lint_argv([MODEL], "0.33.0").errors
    assert "D04" not in found(f'vllm serve {MODEL} "${{ARGS[@]}}"', "0.20.0")
    assert "kv-cache-auto" in {f.code for f in lint_argv([MODEL, "--kv-cache-dtype", "auto"], "0.20.0").errors}


def test_gpu_bound_errors_need_the_gpu_and_others_do_not():
    fp4 = [*GOOD, "--attention_config.use_fp4_indexer_cache=True"]
    assert "D05" in {f.code for f in lint_argv(fp4, "0.25.1", "h200").errors}
    assert not lint_argv(fp4, "0.25.1", "b200").errors
    assert not lint_argv(fp4, "0.25.1").errors
    assert "gpu-unsupported" in {f.code for f in lint_argv(GOOD, "0.25.1", "rtx-4090").errors}


def test_of_an_unknown_release_the_newest_that_takes_the_words_judges():
    text = f"vllm serve {MODEL} --kv-cache-dtype fp8 --attention_config.use_fp4_indexer_cache=True"
    (verdict,) = lint(text)
    assert verdict.imported.engine.release.table == "0.29.0"
    assert not verdict.errors
    assert "version-unknown" in found(text)
    assert "D01" in found(text, "0.33.0")


def test_a_build_that_is_no_release_gets_warnings_where_it_may_differ():
    words = f"{MODEL} --kv-cache-dtype fp8 --moe-backend my_backend"
    assert found(f"docker run --gpus all vllm/vllm-openai:v0.25.1 {words}")["value-refused"][0] == "error"
    assert found(f"docker run --gpus all me/fork:v0.25.1 {words}")["value-refused"][0] == "warning"
    assert found(f"docker run --gpus all me/fork:v0.25.1 {words} --no-such 1")["unrecognized"][0] == "error"


@pytest.mark.parametrize(
    ("options", "words", "code", "severity"),
    [
        ("--privileged ", "", "privileged", "warning"),
        ("--no-such-option ", "", "docker-unknown-option", "error"),
        ("", "--host 127.0.0.1", "listens-on-loopback-inside", "error"),
        ("", "--api-key abcd1234", "secret-on-command-line", "warning"),
        ("-e VLLM_NO_SUCH_THING=1 ", "", "unknown-variable", "warning"),
        ("-e VLLM_DISABLE_COMPILE_CACHE=1 ", "", "compile-cache-off", "warning"),
        ("--runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all ", "", "D45", "warning"),
        ("", "--enforce-eager", "eager-and-graphs", "info"),
        ("", "--seed 1 --seed 2", "repeated", "warning"),
        ("-v '~/x:/x' ", "", "tilde-not-expanded", "error"),
        ("", '--compilation-config {"mode":0,"cudagraph_mode":"FULL"}', "unquoted-json", "error"),
        ("", "--compilation-config \"{'mode': 0}\"", "single-quoted-json", "error"),
        ("--network host ", "", "publish-ignored", "info"),
    ],
)
def test_what_is_wrong_with_a_container(options: str, words: str, code: str, severity: str):
    assert code not in found(DOCKER.format("", ""))
    assert found(DOCKER.format(options, words))[code][0] == severity


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"docker run -p 1:8000 vllm/vllm-openai:v0.25.1 {MODEL}", "no-gpus"),
        (f"docker run --gpus all vllm/vllm-openai:v0.25.1 {MODEL}", "port-not-published"),
        (f"docker run --gpus all vllm/vllm-openai:v0.25.1 {MODEL}", "weights-not-kept"),
        (f"docker run --gpus all vllm/vllm-openai {MODEL}", "moving-tag"),
        (f"docker run --gpus all vllm/vllm-openai:v0.25.1 vllm serve {MODEL}", "entrypoint-twice"),
        (f"docker run --gpus all -p 9000:9000 vllm/vllm-openai:v0.25.1 {MODEL}", "port-mismatch"),
        (f"docker run --gpus all vllm/vllm-openai:v0.19.0 {MODEL}", "version-too-old"),
        ("docker run --gpus all vllm/vllm-openai:v0.25.1 --kv-cache-dtype fp8", "no-model"),
        ("docker run --gpus all -v vllm:/x", "docker-no-image"),
        (f"docker run -it --gpus all vllm/vllm-openai:v0.25.1 {MODEL}", "D47"),
    ],
)
def test_what_a_container_lacks(text: str, code: str):
    assert code in found(text)


def test_files_are_linted_like_commands():
    assert found(KUBERNETES)["block-size-range"][1].endswith('- "0')
    assert "D58" in found(COMPOSE)
    assert not [code for code, (severity, _) in found(DOCKERFILE).items() if severity == "error"]


def test_a_text_without_a_launch_and_an_unknown_gpu_are_said():
    with pytest.raises(InputError, match="No launch"):
        lint("hello")
    with pytest.raises(InputError, match="b20"):
        lint(SOUND, gpu="b20")


def test_every_code_has_one_meaning_and_every_rule_asks_what_there_is():
    rules = lint_rules()
    assert not set(fault_kinds()) & {rule.code for rule in rules}
    for rule in rules:
        assert all(set(kinds(condition)) <= KINDS for condition in rule.given.values())


pieces = st.sampled_from(
    [
        *(
            "docker run ",
            "vllm serve ",
            MODEL,
            " --",
            "-e ",
            "A=b ",
            "'",
            '"',
            "\\\n",
            "\n",
            "$X ",
            "${A[@]} ",
            "{",
            "}",
        ),
        *("[", "]", "image: ", "services:\n a:\n  command: ", "kind: Pod\n", "- ", "FROM x\nCMD ", "--port ", "-tp "),
        *(
            "vllm/vllm-openai:v0.20.0 ",
            "9" * 30,
            "nan",
            "--config x.yaml ",
            "--max-model-len ",
            "“",
            "#",
            "&&",
            "|",
            "`",
        ),
        *("\x00", "\ud7ff", "--block-size ", ":", "~/", "=", "--speculative-config ", "bash -c '", "-v ", "-p "),
    ]
)
texts = st.one_of(
    st.text(max_size=2_000),
    st.lists(pieces, max_size=60).map("".join),
    st.lists(pieces, max_size=30).map(lambda found: PAGE[:400] + "".join(found)),
)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=texts,
    vllm=st.sampled_from([None, "0.20.0", "0.33.0", "0.1.dev1", "x"]),
    gpu=st.sampled_from([None, "b200", "cpu"]),
)
def test_any_text_ends_in_findings_or_an_input_error(text: str, vllm: str | None, gpu: str | None):
    try:
        for verdict in lint(text, vllm, gpu):
            assert repaired(verdict, text)
            assert all(0 <= f.span[0] <= f.span[1] <= max(len(text), 1) for f in verdict.findings)
        assert imported_text(text, "t", vllm, gpu)[0].startswith("# Imported")
    except InputError:
        assert not find_launches(text)


def test_the_line_ends_of_windows_are_named_as_that():
    text = "docker run -d \\\r\n  --gpus all \\\r\n  vllm/vllm-openai:v0.25.1 deepseek-ai/DeepSeek-V4-Flash"
    codes = found(text)
    assert codes["windows-line-ends"][0] == "error"
    assert "space-after-backslash" not in codes
    assert "space-after-backslash" in found(text.replace("\r", " "))


@pytest.mark.parametrize(
    ("version", "words", "has", "has_not", "comment"),
    [
        (
            "0.25.1",
            "--tensor-paralel-size 4",
            "--tensor-parallel-size 4",
            "  --tensor-paralel",
            "# --tensor-parallel-size instead",
        ),
        ("0.25.1", "--swap-space 4 -tp 4", "--tensor-parallel-size 4", "\n  --swap", "# left out: --swap-space 4"),
        ("0.30.0", "--attention_config.use_fp4_indexer_cache=True", "indexer_kv_dtype=mxfp4", "use_fp4", ""),
    ],
)
def test_what_the_release_refuses_is_mended_in_the_repaired_command(version, words, has, has_not, comment):
    text = f"docker run -d --gpus all -p 8000:8000 vllm/vllm-openai:v{version} deepseek-ai/DeepSeek-V4-Flash {words}"
    (verdict,) = lint(text + " --kv-cache-dtype fp8", gpu="b200")
    assert verdict.errors
    command = repaired(verdict, text)
    assert has in command
    assert has_not not in command
    assert command.startswith(comment or "docker run")
    assert not lint(command, gpu="b200")[0].errors


def test_words_that_only_a_shell_knows_are_published_to_this_machine_alone_too():
    (verdict,) = lint("docker run --gpus all -p 8000:8000 vllm/vllm-openai:v0.25.1 $MODEL $ARGS --kv-cache-dtype fp8")
    assert "--publish 127.0.0.1:8000:8000" in repaired(verdict, "")


def test_a_known_failure_is_told_once_not_with_the_refusal_that_it_ends_in():
    text = "vllm serve deepseek-ai/DeepSeek-V4-Flash --kv-cache-dtype fp8 --attention_config.use_fp4_indexer_cache=True"
    assert [finding.code for finding in lint(text, "0.30.0", "b200")[0].errors] == ["D01"]
