"""The flag tables against what is known of each release, and the checks that are built on them."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from dsv4_launch.catalog.flag_store import SECTIONS, decode, encode
from dsv4_launch.catalog.flags import (
    CatalogError,
    as_argv,
    check_value,
    flag_table,
    nearest_version,
    versions,
)

RELEASES = [
    *("0.20.0", "0.20.1", "0.20.2", "0.21.0", "0.22.0", "0.22.1", "0.23.0", "0.24.0", "0.25.0", "0.25.1", "0.26.0"),
    *("0.27.0", "0.27.1", "0.28.0", "0.29.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0"),
]
DOCUMENTED = """
    --tensor-parallel-size -tp --enable-expert-parallel -ep --kv-cache-dtype --block-size --max-model-len
    --max-num-batched-tokens --max-num-seqs --gpu-memory-utilization --compilation-config -cc --attention-config -ac
    --tokenizer-mode --tool-call-parser --reasoning-parser --enable-auto-tool-choice --trust-remote-code
    --no-disable-hybrid-kv-cache-manager --no-enable-log-requests --speculative-config --kv-transfer-config
"""
DATA = files("dsv4_launch.catalog.data").joinpath("vllm")


def with_flag(spelling: str) -> list[str]:
    return [v for v in versions() if spelling in flag_table(v).by_flag]


def with_field(config: str, name: str) -> list[str]:
    return [v for v in versions() if name in flag_table(v).nested(config)]


def since(first: str) -> list[str]:
    return RELEASES[RELEASES.index(first) :]


def until(last: str) -> list[str]:
    return RELEASES[: RELEASES.index(last) + 1]


def test_every_release_has_a_table_oldest_first() -> None:
    assert list(versions()) == RELEASES


@pytest.mark.parametrize(
    "spelling",
    DOCUMENTED.split(),
)
def test_the_documented_flags_are_in_every_release(spelling: str) -> None:
    assert with_flag(spelling) == RELEASES


@pytest.mark.parametrize(
    ("spelling", "releases"),
    [
        ("--linear-backend", since("0.22.0")),
        ("--enable-cumem-allocator", since("0.22.0")),
        ("--prefill-schedule-interval", since("0.24.0")),
        ("--max-num-partial-prefills", until("0.26.0")),
        ("--max-long-partial-prefills", until("0.26.0")),
        ("--calculate-kv-scales", until("0.27.1")),
        ("--prefix-match-unit", since("0.26.0")),
        ("--prefix-cache-retention-interval", since("0.29.0")),
        ("--engram-config", since("0.30.0")),
        ("--device-memory-utilization", since("0.31.0")),
        ("--disable-log-requests", ["0.33.0"]),
        ("--enable-hybrid-kv-cache-manager", ["0.33.0"]),
        ("--swap-space", []),
        ("--enable-reasoning", []),
    ],
)
def test_flags_come_and_go_where_the_releases_did_it(spelling: str, releases: list[str]) -> None:
    assert with_flag(spelling) == releases


@pytest.mark.parametrize(
    ("config", "name", "releases"),
    [
        ("AttentionConfig", "use_fp4_indexer_cache", until("0.29.0")),
        ("AttentionConfig", "indexer_kv_dtype", since("0.24.0")),
        ("CompilationConfig", "cudagraph_mode", RELEASES),
        ("KVTransferConfig", "kv_rank", until("0.31.0")),
        ("SpeculativeConfig", "num_speculative_tokens", RELEASES),
        ("ReasoningConfig", "reasoning_parser", RELEASES),
    ],
)
def test_nested_fields_come_and_go(config: str, name: str, releases: list[str]) -> None:
    assert with_field(config, name) == releases


def test_choices_are_those_of_the_release() -> None:
    def dtype(version: str) -> tuple[object, ...]:
        return flag_table(version).nested("AttentionConfig")["indexer_kv_dtype"].choices

    assert "auto" not in dtype("0.27.1")
    assert set(dtype("0.28.0")) >= {"auto", "mxfp4"}
    spec = [v for v in versions() if "dspark" in flag_table(v).nested("SpeculativeConfig")["method"].choices]
    assert spec == since("0.25.0")


def test_environment_variables_are_those_the_release_reads() -> None:
    assert flag_table("0.20.0").env["VLLM_ENGINE_READY_TIMEOUT_S"].default == 600
    assert "VLLM_USE_BOGUS" not in flag_table("0.33.0").env
    # vllm/envs.py of the wheels has it from 0.23.0 to 0.29.0, the last release where the option of that name joins it.
    read = [v for v in versions() if "VLLM_PREFIX_CACHE_RETENTION_INTERVAL" in flag_table(v).env]
    assert read == [v for v in since("0.23.0") if v in until("0.29.0")]


def test_every_stored_file_is_what_the_encoder_writes() -> None:
    stored = {v: json.loads(DATA.joinpath(f"{v}.json").read_text("utf-8")) for v in versions()}
    tables = {v: decode(v, stored.__getitem__) for v in reversed(versions())}
    assert encode(tables) == {v: DATA.joinpath(f"{v}.json").read_text("utf-8") for v in versions()}


def test_a_release_that_comes_late_between_two_others_leaves_them_as_they_are() -> None:
    def table(**flags: int) -> dict[str, dict[str, object]]:
        return {section: dict(flags) if section == "flags" else {} for section in SECTIONS}

    before = {"0.1.0": table(a=1, b=1), "0.3.0": table(a=1, c=3)}
    late = before | {"0.2.0": table(b=2)}
    texts = {v: json.loads(text) for v, text in encode(late).items()}
    assert {v: decode(v, texts.__getitem__) for v in texts} == late
    assert texts["0.3.0"]["base"] == "0.2.0"


def test_all_tables_together_stay_small() -> None:
    assert sum(len(DATA.joinpath(f"{v}.json").read_bytes()) for v in versions()) < 400_000


@pytest.mark.parametrize(
    ("version", "nearest", "exact"),
    [
        ("0.20.0", "0.20.0", True),
        ("0.20.1rc1.dev144+gabc123", "0.20.0", False),
        ("0.1.dev1", RELEASES[-1], False),
        ("0.99.0", RELEASES[-1], False),
        ("0.25.7", "0.25.1", False),
    ],
)
def test_a_custom_build_takes_the_nearest_table(version: str, nearest: str, exact: bool) -> None:
    assert nearest_version(version) == (nearest, exact)


def test_an_unknown_release_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(CatalogError) as caught:
        flag_table("0.25.7")
    assert "0.25.1" in caught.value.problems[0].fix
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize("name", ["max_model_len", "max-model-len", "--max-model-len", "--max_model_len"])
def test_a_name_is_found_as_people_write_it(name: str) -> None:
    flag = flag_table("0.20.0").find(name)
    assert flag is not None
    assert flag.dest == "max_model_len"


def test_a_dotted_name_and_a_short_spelling_are_found_and_a_wrong_one_is_not() -> None:
    table = flag_table("0.20.0")
    assert [getattr(table.find(n), "dest", None) for n in ("attention_config.backend", "-cc", "atention_config")] == [
        "attention_config",
        "compilation_config",
        None,
    ]


GOOD = [
    ("0.20.0", "block_size", 256),
    ("0.20.0", "max_model_len", "auto"),
    ("0.20.0", "max_model_len", -1),
    ("0.20.0", "max_model_len", "1M"),
    ("0.20.0", "max_num_batched_tokens", "64k"),
    ("0.20.0", "max_num_batched_tokens", "25.6k"),
    ("0.20.0", "gpu_memory_utilization", 0.9),
    ("0.20.0", "gpu_memory_utilization", 1),
    ("0.20.0", "kv_cache_dtype", "fp8"),
    ("0.20.0", "trust_remote_code", True),
    ("0.20.0", "moe_backend", "DEEP-GEMM-mega_moe"),
    ("0.20.0", "compilation_config", {"cudagraph_mode": "FULL_AND_PIECEWISE", "custom_ops": ["all"]}),
    ("0.20.0", "compilation_config", {"cudagraph_mode": "full_and_piecewise", "mode": 3}),
    ("0.20.0", "compilation_config", {"pass_config.fuse_norm_quant": True}),
    ("0.20.0", "compilation_config", '{"cudagraph_mode": "NONE"}'),
    ("0.20.0", "attention_config", {"use_fp4_indexer_cache": True}),
    ("0.20.0", "attention_config", {"use_fp4_indexer_cache": "True"}),
    ("0.28.0", "attention_config", {"indexer_kv_dtype": "mxfp4"}),
    ("0.25.0", "speculative_config", {"method": "dspark", "num_speculative_tokens": 4}),
    ("0.20.0", "speculative_config", "None"),
    ("0.20.0", "served_model_name", ["a", "b"]),
    ("0.20.0", "served_model_name", "a"),
    ("0.20.0", "kv_transfer_config", {"kv_connector": "NixlConnector", "kv_role": "kv_both"}),
    ("0.20.0", "hf_overrides", {"anything": {"goes": 1}}),
    ("0.20.0", "max_model_len", None),
    ("0.33.0", "kv_cache_dtype", "a-word-of-a-plugin"),
    ("0.20.0", "optimization_level", 3),
    ("0.20.0", "optimization_level", "3"),
]

BAD = [
    ("0.20.0", "block_size", "abc", "whole number"),
    ("0.20.0", "block_size", True, "whole number"),
    ("0.20.0", "block_size", 2.5, "whole number"),
    ("0.23.0", "block_size", 0, "greater than 0"),
    ("0.20.0", "max_model_len", "0.5M", "1M is 1,048,576"),
    ("0.20.0", "max_model_len", "lots", "auto"),
    ("0.20.0", "tensor_parallel_size", "64k", "whole number"),
    ("0.20.0", "gpu_memory_utilization", "high", "number"),
    ("0.20.0", "gpu_memory_utilization", 1.01, "at most 1"),
    ("0.20.0", "kv_cache_dtype", "fp9", "Did you mean fp8?"),
    ("0.20.0", "kv_cache_dtype", "FP8", "Did you mean fp8?"),
    ("0.20.0", "trust_remote_code", "yes", "true or false"),
    ("0.20.0", "moe_backend", "deep_gemm_mega", "deep_gemm_mega_moe"),
    ("0.20.0", "compilation_config", {"cudagraph_mod": "FULL"}, "cudagraph_mode"),
    ("0.20.0", "compilation_config", {"cudagraph_mode": "BOGUS"}, "PIECEWISE"),
    ("0.20.0", "compilation_config", {"mode": 9}, "mode"),
    ("0.20.0", "compilation_config", {"pass_config": {"fuse_nrm": True}}, "pass_config.fuse"),
    ("0.20.0", "compilation_config", "{'cudagraph_mode': 'NONE'}", "not JSON"),
    ("0.20.0", "compilation_config", 3, "mapping"),
    ("0.30.0", "attention_config", {"use_fp4_indexer_cache": True}, "no field use_fp4_indexer_cache"),
    ("0.27.1", "attention_config", {"indexer_kv_dtype": "auto"}, "indexer_kv_dtype"),
    ("0.24.0", "speculative_config", {"method": "dspark"}, "method"),
    ("0.20.0", "speculative_config", {"num_speculative_tokens": 0}, "greater than 0"),
    ("0.20.0", "served_model_name", [], "at least one"),
    ("0.20.0", "max_num_seqs", [1, 2], "one value"),
    ("0.32.0", "kv_cache_dtype", "a-word-of-a-plugin", "not"),
]


@pytest.mark.parametrize(("version", "dest", "value"), GOOD)
def test_what_the_release_takes_is_taken(version: str, dest: str, value: object) -> None:
    assert check_value(flag_table(version).by_dest[dest], value) is None


@pytest.mark.parametrize(("version", "dest", "value", "said"), BAD)
def test_what_the_release_refuses_is_refused_with_what_helps(version: str, dest: str, value: object, said: str) -> None:
    reason = check_value(flag_table(version).by_dest[dest], value)
    assert reason is not None
    assert said in reason


@pytest.mark.parametrize("version", RELEASES)
def test_defaults_of_a_release_pass_its_own_checks(version: str) -> None:
    """A default that its own table refuses shows that the table or the check has it wrong."""
    refused = {}
    for flag in flag_table(version).by_dest.values():
        if not isinstance(flag.default, bool | int | float | str) or flag.deprecated:
            continue
        if flag.kind in ("bool", "store_true") and not isinstance(flag.default, bool):
            continue
        if reason := check_value(flag, flag.default):
            refused[flag.dest] = reason
    for config, fields in flag_table(version).classes.items():
        for field in fields.values():
            if field.choices and isinstance(field.default, str) and field.default not in field.choices:
                refused[f"{config}.{field.name}"] = field.default
    assert refused == {}


@pytest.mark.parametrize(
    ("version", "dest", "value", "words"),
    [
        ("0.20.0", "block_size", 256, ("--block-size", "256")),
        ("0.20.0", "trust_remote_code", True, ("--trust-remote-code",)),
        ("0.20.0", "trust_remote_code", False, ("--no-trust-remote-code",)),
        ("0.33.0", "disable_hybrid_kv_cache_manager", False, ("--no-disable-hybrid-kv-cache-manager",)),
        ("0.20.0", "max_model_len", -1, ("--max-model-len", "-1")),
        ("0.20.0", "tokenizer", "-odd", ("--tokenizer=-odd",)),
        ("0.20.0", "served_model_name", ["a", "b"], ("--served-model-name", "a", "b")),
        ("0.20.0", "middleware", ["a", "b"], ("--middleware", "a", "--middleware", "b")),
        ("0.20.0", "max_model_len", None, ()),
        (
            "0.20.0",
            "compilation_config",
            {"cudagraph_mode": "FULL_AND_PIECEWISE", "custom_ops": ["all"]},
            ("--compilation-config", '{"cudagraph_mode":"FULL_AND_PIECEWISE", "custom_ops":["all"]}'),
        ),
    ],
)
def test_words_on_the_command_line(version: str, dest: str, value: object, words: tuple[str, ...]) -> None:
    assert as_argv(flag_table(version).by_dest[dest], value) == words
