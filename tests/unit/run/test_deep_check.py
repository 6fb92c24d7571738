"""What the real vLLM said, mapped to a config: with answers as the judge gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsv4_launch.cli.configs import load_config
from dsv4_launch.errors import InputError, ToolError
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.plan.types import Plan
from dsv4_launch.run.deep_check import Where, container_command, deep_check, plain, shortened, simulated, verdict

FILE = "flash-b200.yaml"
HERE = Where(python="/env/bin/python")


def plan(name: str = "flash-b200") -> Plan:
    return resolve(load_config(name))


def answers(made: Plan, *culprits: str, said: str = "no", stage: str = "engine") -> dict[str, dict[str, Any]]:
    no = {"ok": False, "stage": stage, "type": "ValueError", "said": said}
    found = {"all": no if culprits else {"ok": True, "stage": "names", "facts": {"max_model_len": "1048576"}}}
    for n, argument in enumerate(made.arguments):
        found[str(n)] = {"ok": True, "stage": "names"} if argument.name in culprits else no
    return found


def test_a_plan_that_vllm_takes() -> None:
    made = plan()
    said = verdict(made, HERE, {"vllm": "0.20.0+cpu"}, answers(made), FILE)
    assert said.ok
    assert said.exit_code == 0
    assert said.warnings == ()
    assert said.decided == {"max_model_len": "1048576"}


def test_the_refused_argument_is_named_with_its_line() -> None:
    made = plan()
    said = verdict(made, HERE, {"vllm": "0.20.0"}, answers(made, "block_size", said="bad block"), FILE)
    (error,) = said.errors
    assert said.exit_code == 4
    assert error.code == "deep-refused"
    assert error.message == "vLLM 0.20.0 refuses this (engine): bad block"
    assert error.where.startswith(f"{FILE}:")
    assert "block_size" in error.fix


def test_words_that_cannot_be_read_are_an_input_error() -> None:
    made = plan()
    assert verdict(made, HERE, {"vllm": "0.20.0"}, answers(made, "block_size", stage="parse"), FILE).exit_code == 3


def test_what_a_rule_said_is_told_with_its_reason_and_placed_at_the_config() -> None:
    made = plan()
    rule = next(a for a in made.arguments if a.name.startswith("attention_config"))
    (error,) = verdict(made, HERE, {"vllm": "0.20.0"}, answers(made, rule.name), FILE).errors
    assert error.where == FILE
    assert rule.why in error.fix


def test_of_several_the_one_that_vllm_names_comes_first() -> None:
    made = plan()
    found = answers(made, "max_num_seqs", "max_num_batched_tokens", said="max_num_seqs is too many")
    (error,) = verdict(made, HERE, {"vllm": "0.20.0"}, found, FILE).errors
    assert error.fix.index("max_num_seqs") < error.fix.index("max_num_batched_tokens")


def test_another_release_is_a_warning() -> None:
    made = plan()
    (warning,) = verdict(made, HERE, {"vllm": "0.32.0+cpu"}, answers(made), FILE).warnings
    assert warning.code == "deep-other-release"


def test_what_vllm_cannot_judge_is_no_verdict() -> None:
    made = plan()
    found = answers(made) | {"all": {"ok": None, "stage": "engine", "said": "Traceback\nImportError: x"}}
    with pytest.raises(ToolError, match="ImportError: x"):
        verdict(made, HERE, {"vllm": "0.20.0"}, found, FILE)


def test_a_rehearsal_has_nothing_to_simulate() -> None:
    with pytest.raises(InputError, match="no GPU"):
        deep_check(plan("rehearsal-cpu"), HERE, {})


def test_the_gpus_are_those_of_the_config() -> None:
    assert simulated(plan()) == {"name": "NVIDIA B200", "capability": [10, 0], "memory_mib": 183359, "count": 8}
    chosen = resolve(load_config("flash-b200", ["gpus=[0, 1, 2, 3]"]))
    assert simulated(chosen)["count"] == 4


def test_a_container_only_judges() -> None:
    words = container_command("vllm/vllm-openai:v0.20.0", Path("/j.py"), Path("/m"), {"VLLM_X": "1"}, "asked")
    line = " ".join(words)
    assert "--network none" in line
    assert "--name asked" in line
    assert "--gpus" not in line
    assert "/j.py:/dsv4/judge.py:ro" in line
    assert "--env VLLM_X=1" in line
    assert words[-2:] == ["vllm/vllm-openai:v0.20.0", "/dsv4/judge.py"]


def test_the_frame_around_what_was_said_goes() -> None:
    said = (
        "1 validation error for CacheConfig\n  Value error, too much [type=value_error, input_value=1]\n"
        "    For further information visit https://errors.pydantic.dev/2.14/v/value_error"
    )
    assert shortened(said) == "CacheConfig: too much"
    assert plain(["a", object()]) == ["a", "/placeholder"]
