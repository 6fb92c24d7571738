from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsv4_launch.catalog.flags import flag_table
from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.plan.argv.parsed import Parsed
from dsv4_launch.plan.argv.parser import parse
from dsv4_launch.plan.resolve import resolve

FILES = {"c.yaml": "port: 9000\nenable-expert-parallel: true\ncompilation-config: {mode: 3}\nlora-modules: []\n"}


def read(line: str, version: str = "0.20.0") -> Parsed:
    return parse(shlex.split(line), flag_table(version), FILES.__getitem__)


def values(line: str, version: str = "0.20.0") -> dict[str, tuple[str, ...]]:
    parsed = read(line, version)
    assert parsed.refusals == ()
    return {dest: given.values for dest, given in parsed.given.items()}


@pytest.mark.parametrize("name", builtins())
def test_what_we_render_is_read_without_a_refusal(name):
    plan = resolve(load_config(name, target="native"))
    words = [word for argument in plan.arguments for word in argument.argv]
    parsed = parse(["m", *words], flag_table(plan.vllm))
    assert parsed.refusals == ()
    assert {a.name.split(".")[0] for a in plan.arguments} == set(parsed.given)


@pytest.mark.parametrize(
    "line",
    [
        "m --max-num-seqs 8",
        "m --max_num_seqs 8",
        "m --max_num_seqs=8",
        "m --max-num-se 8",
        "--model m --max-num-seqs 8",
        "--max-num-seqs 8 --model=m",
        "m --max-num-seqs 4 --max-num-seqs 8",
    ],
)
def test_spellings_of_one_option(line):
    assert values(line) == {"max_num_seqs": ("8",)}
    assert read(line).model == "m"


def test_dotted_options_and_json_become_one_value():
    given = values("m -cc.mode=3 --compilation-config.pass_config.fuse_norm_quant true -cc.custom_ops+ +a,-b")
    tables = [json.loads(text) for text in given["compilation_config"]]
    # -cc and --compilation-config are two words to vLLM: the later one wins.
    assert tables == [{"pass_config": {"fuse_norm_quant": True}}]
    (text,) = values("m --compilation_config.mode 3 --compilation-config.custom_ops+=all")["compilation_config"]
    assert json.loads(text) == {"mode": 3, "custom_ops": ["all"]}
    (text,) = values("m --attention_config.use_fp4_indexer_cache=True")["attention_config"]
    assert json.loads(text) == {"use_fp4_indexer_cache": "True"}


@pytest.mark.parametrize("line", ["m -O3", "m -O=3", "m -O 3", "m --optimization-level 3"])
def test_optimization_level(line):
    assert values(line) == {"optimization_level": ("3",)}


def test_a_config_file_stands_behind_the_model_so_that_the_line_wins():
    given = values("m --port 1234 --config c.yaml")
    assert given["port"] == ("1234",)
    assert given["enable_expert_parallel"] == ()


@pytest.mark.parametrize(
    ("line", "version", "code"),
    [
        ("m --max-num-seq-s 8", "0.20.0", "unknown-option"),
        ("m extra", "0.20.0", "unrecognized"),
        ("m --max 8", "0.20.0", "ambiguous"),
        ("m --max-num-seqs", "0.20.0", "value-missing"),
        ("m --max-num-seqs --port 1", "0.20.0", "value-missing"),
        ("m --max-num-seqs many", "0.20.0", "value-refused"),
        ("m --max-model-len 0.5M", "0.20.0", "value-refused"),
        ("m --enable-expert-parallel=true", "0.20.0", "value-not-taken"),
        ("m --compilation-config '{\\\"a\\\":1}'", "0.20.0", "value-refused"),
        ("m --compilation-config \"{'mode': 3}\"", "0.20.0", "value-refused"),
        ("m --compilation-config.level=3", "0.20.0", "value-refused"),
        ("m --compilation-config.mode", "0.20.0", "value-missing"),
        ("m --attention_config.use_fp4_indexer_cache=True", "0.30.0", "value-refused"),
        ("m --moe-backend fastest", "0.20.0", "value-refused"),
        ("m --disable-log-requests", "0.20.0", "unknown-option"),
        ("m --swap-space 4", "0.33.0", "unknown-option"),
        ("m --config c.json", "0.20.0", "config-file"),
        ("--config c.yaml", "0.20.0", "config-file"),
        ("--served-model-name x --port 1", "0.20.0", "model-not-first"),
    ],
)
def test_what_a_release_refuses(line, version, code):
    assert [refusal.code for refusal in read(line, version).refusals] == [code]


def test_a_refusal_points_at_its_words_in_the_original_line():
    parsed = read("--port 1 --model m --max_num_seqs=x -cc.mode 9")
    assert {r.at for r in parsed.refusals} == {(4,), (5, 6)}


def test_repeats_are_told():
    assert read("m --port 1 --port 2").repeated == ("--port",)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=12), st.sampled_from(["--port", "-tp", "--", "-", "-O", "-cc.a", "--x.y+", "=", "-1.5"])
        )
    )
)
def test_any_words_end_in_a_reading(words):
    parsed = parse(words, flag_table("0.20.0"))
    for refusal in parsed.refusals:
        assert all(0 <= n < len(words) for n in refusal.at)
