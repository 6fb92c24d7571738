"""The client's command line and its output; the words are judged by the real client in the end-to-end tests."""

import json
import re

import pytest

from dsv4_launch.bench.client import (
    ENVIRONMENT,
    Place,
    advice,
    bar,
    bench_words,
    in_detail,
    last_words,
    other_input,
    said_errors,
    short_outputs,
)
from dsv4_launch.bench.results import Planned, Slo, Workload

PLACE = Place("http://127.0.0.1:8000", "m", "/model", "/out", dataset="/data.jsonl")
POINT = Planned(key="c0004-r1", concurrency=4, repeat=1, num_prompts=24, warmups=8, seed=7)


def words(workload: Workload, slo: Slo | None = None, *, place: Place = PLACE, detailed: bool = False) -> str:
    return " ".join(bench_words(workload, POINT, place, slo or Slo(), "o.json", detailed=detailed))


def test_the_whole_command_line() -> None:
    assert words(Workload()) == (
        "bench serve --backend openai-chat --endpoint /v1/chat/completions --base-url http://127.0.0.1:8000 --model m"
        " --tokenizer /model --dataset-name random --random-input-len 1024 --random-output-len 1024 --num-prompts 24"
        " --max-concurrency 4 --num-warmups 8 --seed 7 --ignore-eos --percentile-metrics ttft,tpot,itl,e2el"
        " --metric-percentiles 50,90,95,99 --save-result --result-dir /out --result-filename o.json"
    )


def test_a_shared_prefix_is_taken_from_the_input() -> None:
    assert "--random-input-len 768 --random-output-len 1024 --random-prefix-len 256" in words(
        Workload(prefix_ratio=0.25)
    )


def test_thinking_is_said_to_the_chat_template_only_when_asked() -> None:
    assert "--extra-body" not in words(Workload())
    asked = bench_words(Workload(thinking=False), POINT, PLACE, Slo(), "o", detailed=False)
    assert json.loads(asked[asked.index("--extra-body") + 1]) == {"chat_template_kwargs": {"thinking": False}}


def test_limits_tokenizer_mode_and_detail_are_said() -> None:
    place = Place("http://x", "m", "/t", "/o", tokenizer_mode="deepseek_v4", trust_remote_code=True)
    found = words(Workload(temperature=0.0), Slo(ttft_ms=500, e2e_ms=1500.5), place=place, detailed=True)
    assert "--goodput ttft:500 e2el:1500.5 --save-result" in found
    assert "--tokenizer-mode deepseek_v4 --trust-remote-code" in found
    assert "--temperature 0 " in found
    assert found.endswith("--save-detailed")


def test_data_sets_keep_their_own_lengths_unless_told() -> None:
    own = words(Workload(input_len=0, output_len=0, dataset="d", dataset_format="sharegpt"))
    assert "--dataset-name sharegpt --dataset-path /data.jsonl --num-prompts" in own
    custom = Workload(input_len=0, output_len=0, dataset="d", dataset_format="custom")
    assert "--custom-output-len -1 --skip-chat-template" in words(custom)
    assert "--skip-chat-template" not in words(custom.model_copy(update={"api": "completions"}))
    assert "--custom-output-len 64" in words(custom.model_copy(update={"output_len": 64}))


def test_completions_have_their_own_endpoint() -> None:
    assert "--backend openai --endpoint /v1/completions" in words(Workload(api="completions"))


def test_no_key_can_stand_in_the_words() -> None:
    assert not re.search(r"--header|api.key", words(Workload()), re.IGNORECASE)
    assert ENVIRONMENT["HF_HUB_OFFLINE"] == "1"


def test_detail_is_kept_where_it_is_small() -> None:
    assert in_detail(Workload(output_len=64), POINT, None)
    assert not in_detail(Workload(output_len=64_000), POINT, None)
    assert in_detail(Workload(output_len=64_000), POINT, True)
    assert not in_detail(Workload(output_len=64), POINT, False)


def test_the_progress_bar_is_read() -> None:
    text = "  0%|          | 0/32 [00:00<?, ?it/s]\r 12%|█▎        | 4/32 [00:00<00:02,  2.66it/s]"
    assert bar(text) == (4, 32)
    assert bar("no bar") is None


def test_errors_and_last_words() -> None:
    lines = [
        "Error 0: Internal Server Error",
        "Traceback (most recent call last):",
        "ValueError: bad tokenizer",
        " 0%|  | 0/2 [00:00<?, ?it/s]",
    ]
    assert said_errors(lines) == ["Internal Server Error"]
    assert last_words(lines) == "ValueError: bad tokenizer"
    assert last_words([]) == "it said nothing"
    docker = [
        "Unable to find image 'no:1' locally",
        "docker: Error response from daemon: denied",
        "Run 'docker run --help'",
    ]
    assert last_words(docker) == "docker: Error response from daemon: denied"


def test_streams_that_broke_off_are_noticed_by_their_length() -> None:
    data = {"completed": 10, "total_output_tokens": 10_000}
    assert short_outputs(Workload(), data) == 240
    assert short_outputs(Workload(ignore_eos=False), data) == 0


def test_prompts_of_another_length_than_asked_for_are_told() -> None:
    """Ten prompts of 545 tokens where 64 were asked for: a template of one token a byte, on a tiny vocabulary."""
    asked = Workload(input_len=64, output_len=32)
    assert other_input(asked, {"completed": 10, "total_input_tokens": 5450}) == 545
    assert other_input(asked, {"completed": 10, "total_input_tokens": 300}) == 30
    assert other_input(asked, {"completed": 10, "total_input_tokens": 680}) is None
    assert other_input(asked, {"completed": 0, "total_input_tokens": 0}) is None
    own = asked.model_copy(update={"dataset_format": "custom"})
    assert other_input(own, {"completed": 10, "total_input_tokens": 5450}) is None


@pytest.mark.parametrize(
    ("last", "fix"),
    [
        (
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find",
            "--tokenizer",
        ),
        (
            "OSError: none is not a local folder and is not a valid model identifier listed on 'https://h'",
            "--tokenizer",
        ),
        ("huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name'", "--tokenizer"),
        ("ModuleNotFoundError: No module named 'vllm'", "--client-python"),
        ("ModuleNotFoundError: No module named 'vllm.entrypoints'", "--client-python"),
        ("ModuleNotFoundError: No module named 'vllmx'", ""),
        ("ValueError: bad tokenizer", ""),
    ],
)
def test_a_client_without_tokenizer_or_vllm_is_told_what_to_name(last: str, fix: str) -> None:
    assert fix in advice(last)
    assert bool(advice(last)) == bool(fix)
