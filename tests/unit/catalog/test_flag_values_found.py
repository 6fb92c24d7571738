"""Values that depth 1 once judged otherwise than vLLM's parser: each was found by asking both."""

from __future__ import annotations

import pytest

from dsv4_launch.catalog.flags import check_value, flag_table
from dsv4_launch.plan.argv.parser import parse


def takes(version: str, *words: str) -> bool:
    return parse(["m", *words], flag_table(version)).ok


@pytest.mark.parametrize("word", ["name=path", "", '{"name": "a", "path": "b"}'])
def test_lora_modules_that_are_taken(word: str) -> None:
    assert takes("0.20.0", "--lora-modules", word)


@pytest.mark.parametrize("word", ["x", "null", "1", "[]", "{}", '{"name": "a"}', "a=b,c"])
def test_lora_modules_that_are_refused(word: str) -> None:
    assert not takes("0.20.0", "--lora-modules", word)


def test_none_among_choices_is_taken_from_0_31() -> None:
    # argparse reads None and looks for it where only the word "None" stood.
    assert not takes("0.30.0", "--mm-encoder-attn-dtype", "None")
    assert takes("0.31.0", "--mm-encoder-attn-dtype", "None")


def test_text_in_braces_must_be_json() -> None:
    assert takes("0.28.0", "--hf-overrides", '{"a": 1')
    assert not takes("0.28.0", "--hf-overrides", "{'a': 1}")


def test_fields_of_the_multimodal_config_are_never_looked_at() -> None:
    assert takes("0.28.0", "--video-pruning-rate", "1.0")
    assert takes("0.28.0", "--mm-encoder-attn-backend", "x")


def test_auto_and_null_where_the_class_has_a_way_for_them() -> None:
    assert takes("0.25.1", "--attention-backend", "auto")
    assert takes("0.28.0", "--kernel-config", '{"enable_cutedsl_warmup": null}')


def test_null_is_no_table_but_for_options_that_are_read_as_any_json() -> None:
    assert takes("0.28.0", "--speculative-config", "null")
    assert not takes("0.28.0", "--kv-transfer-config", "null")


def test_a_double_dash_goes_with_the_model_only() -> None:
    table = flag_table("0.20.0")
    assert parse(["--port", "1", "--", "m"], table).ok
    assert parse(["m", "--"], table).ok
    assert not parse(["m", "--port", "1", "--"], table).ok


def test_a_list_is_no_text() -> None:
    flag = flag_table("0.20.0").by_dest["lora_modules"]
    assert check_value(flag, ["a=b", "x"]) is not None


def test_only_the_last_value_of_a_repeated_option_reaches_its_field() -> None:
    assert takes("0.20.0", "--max-num-batched-tokens", "-1", "--max-num-batched-tokens", "4")
    assert not takes("0.20.0", "--max-num-batched-tokens", "4", "--max-num-batched-tokens", "-1")


def test_what_only_the_field_refuses_has_a_code_of_its_own() -> None:
    parsed = parse(["m", "--max-num-batched-tokens", "-1", "-sc.mode=3", "--port", "x"], flag_table("0.20.0"))
    codes = {refusal.option: refusal.code for refusal in parsed.refusals}
    assert codes == {"--max-num-batched-tokens": "field-refused", "-sc": "field-refused", "--port": "value-refused"}
