"""What vLLM refuses beyond single words: each line was given to the real vLLM of that release."""

from __future__ import annotations

import shlex

import pytest

from dsv4_launch.catalog.flags import flag_table, versions
from dsv4_launch.catalog.serve_checks import registered, serve_checks
from dsv4_launch.plan.argv.checks import check
from dsv4_launch.plan.argv.parser import parse


def codes(line: str, version: str = "0.28.0", gpus: int = 8) -> list[str]:
    table = flag_table(version)
    parsed = parse(["m", *shlex.split(line)], table)
    assert parsed.refusals == ()
    return [refusal.code for refusal in check(parsed, table, gpus)]


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("--max-loras 0", False),
        ("--max-loras -7 --no-enable-lora", False),
        ("--enable-lora --max-loras 0", True),
        ("--max-num-seqs 0", True),
    ],
)
def test_what_only_a_class_refuses_that_is_not_built_is_taken(line: str, refused: bool) -> None:
    assert [r.code for r in parse(["m", *line.split()], flag_table("0.28.0")).refusals] == ["field-refused"] * refused


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("--data-parallel-rpc-port -1", "0.28.0"),
        ("--data-parallel-rpc-port 70000", "0.28.0"),
        ("--override-generation-config 1", "0.20.0"),
        ("--shutdown-timeout -1", "0.20.0"),
    ],
)
def test_ranges_and_tables_that_only_the_config_class_asks_for(line: str, first: str) -> None:
    for version in ("0.20.0", "0.25.1", "0.28.0", "0.33.0"):
        assert bool(codes(line, version)) == (version >= first), version


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-tp 8 --enable-expert-parallel --enable-auto-tool-choice --tool-call-parser deepseek_v4",
        "-tp 4 -dp 2 -ep --enable-eplb --eplb-config.num_redundant_experts=16",
        "-tp 16 --nnodes 2 --node-rank 1",
        "-tp 16 --distributed-executor-backend mp",
        "-dp 4 --data-parallel-rank 3",
        "-dp 8 --data-parallel-size-local 4 --data-parallel-hybrid-lb",
        '--speculative-config \'{"method":"mtp","num_speculative_tokens":2}\'',
        "--profiler-config.profiler torch --profiler-config.torch_profiler_dir /tmp",
        '--reasoning-config \'{"reasoning_start_str":"a","reasoning_end_str":"b"}\'',
        "--speculative-config None",
        "--max-num-seqs 2048 --max-num-batched-tokens 64k",
    ],
)
def test_what_vllm_takes(line: str) -> None:
    assert codes(line) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("-tp 16", "gpus-for-the-world"),
        ("-tp 4 -pp 4", "gpus-for-the-world"),
        ("--enable-auto-tool-choice", "tool-choice-needs-parser"),
        ("--enable-auto-tool-choice --tool-call-parser deepseek_v9", "parser-unknown"),
        ("--reasoning-parser DEEPSEEK_V4", "parser-unknown"),
        ("--reasoning-config.reasoning_parser x", "parser-unknown"),
        ("--enable-log-outputs", "log-outputs-needs-requests"),
        ("--headless --api-server-count 2", "headless-without-servers"),
        ("--data-parallel-rank 0", "external-balancing-needs-ranks"),
        ("-dp 2 --data-parallel-rank 2", "data-parallel-rank"),
        ("--data-parallel-size-local 2", "local-ranks"),
        ("-dp 2 --data-parallel-hybrid-lb", "hybrid-balancing-needs-local"),
        ("--nnodes 3", "nodes-divide"),
        ("--enable-eplb -tp 2", "eplb-needs-experts"),
        ("--eplb-config.num_redundant_experts 2", "redundant-experts-need-eplb"),
        ("-dcp 3 -tp 4", "context-ranks-divide"),
        ("--enable-dbo", "microbatches-need-deepep"),
        ("--numa-bind-nodes 0", "numa-needs-bind"),
        ("--kv-transfer-config.kv_role kv_both", "connector-needs-name"),
        ("--kv-transfer-config.kv_connector NixlConnector", "parser-check"),
        ("--profiler-config.profiler torch", "parser-check"),
        ("--structured-outputs-config.disable_any_whitespace true", "parser-check"),
        ("--speculative-config.method mtp", "speculative-needs-tokens"),
        ("--spec-tokens 2", "speculative-needs-method"),
        ("--max-num-seqs 9000 --max-num-batched-tokens 8192", "batch-holds-seqs"),
        ("--max-model-len 2M", "context-within-the-model"),
        ("--dtype float32", "no-float32"),
        ("--default-mm-loras '{\"a\": 1}'", "mm-loras"),
        ("--additional-config '[1]'", "table-of"),
        ("--tokenizer-mode deepseek_v9", "name-unknown"),
        ("--skip-tokenizer-init --reasoning-parser deepseek_v4", "parser-needs-tokenizer"),
        ("--device-ids x", "device-ids"),
        ("--compilation-config.custom_ops+=", "parser-check"),
    ],
)
def test_what_vllm_refuses(line: str, code: str) -> None:
    assert codes(line) == [code]


@pytest.mark.parametrize("said", ["{}", "[]"])
def test_no_multimodal_adapters_are_fine_for_a_model_that_reads_text(said: str) -> None:
    assert codes(f"--default-mm-loras {said}") == []


def test_releases_differ() -> None:
    assert codes("-pp 2", "0.20.2") == ["pipeline-needs-0.21"]
    assert codes("-pp 2", "0.21.0") == []
    assert codes("--max-num-partial-prefills 2", "0.25.1") == ["no-partial-prefills"]
    assert codes("--reasoning-config.reasoning_end_str x", "0.25.1") == ["parser-unknown"]
    assert codes("--reasoning-config.reasoning_end_str x", "0.28.0") == []
    assert codes("--reasoning-parser deepseek_v41", "0.29.0") == ["parser-unknown"]
    assert codes("--reasoning-parser deepseek_v41", "0.30.0") == []


def test_the_gpus_of_the_node_count() -> None:
    assert codes("-tp 8", gpus=8) == []
    assert codes("-tp 8", gpus=4) == ["gpus-for-the-world"]


def test_a_refusal_points_at_the_words_that_it_is_about() -> None:
    table = flag_table("0.28.0")
    words = ["m", "--port", "1", "--max-num-seqs", "9000", "--max-num-batched-tokens=8192"]
    (refusal,) = check(parse(words, table), table)
    assert refusal.at == (5,)
    assert "8192" in refusal.message


def test_what_cannot_be_read_is_not_judged_further() -> None:
    table = flag_table("0.28.0")
    assert check(parse(["m", "--bogus", "-tp", "16"], table), table) == ()


@pytest.mark.parametrize("version", versions())
def test_every_check_names_what_some_release_has(version: str) -> None:
    every = {dest for v in versions() for dest in flag_table(v).by_dest} | {"derived"}
    for row in serve_checks(version):
        for name in (row.name, *row.given):
            assert name.split(".")[0] in every, row.code
        assert row.why
        assert row.source
    assert {"deepseek_v4", "deepseek_v3"} <= registered("tool_call_parser", version)
