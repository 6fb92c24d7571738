"""Drift: what runs against its config, as this version of dsv4 renders it."""

from __future__ import annotations

import json

from doubles import service

from dsv4_launch.config.load import load, to_data
from dsv4_launch.plan.resolve import resolve
from dsv4_launch.run.service import digest_of
from dsv4_launch.run.status.drift import drift_of_version
from dsv4_launch.targets import render

LOADED = load(
    """{name: x, model: flash, vllm: '0.20.0', gpu: b200, parallel: {tensor: 4, expert: true},
  engine: {compilation_config: {custom_ops: [all]}}}""",
    "x.yaml",
)
PLAN = resolve(LOADED)
DIGEST = digest_of(PLAN, render(PLAN))
CONFIG = json.loads(json.dumps(to_data(LOADED.config)))  # as a label or state file has it
WORDS = ("model", "--host", "0.0.0.0", "--port", "8000", *(str(word) for a in PLAN.arguments for word in a.argv))


def test_the_same_is_no_drift() -> None:
    assert drift_of_version(service(digest=DIGEST, config=CONFIG, argv=WORDS)) == ""


def test_another_digest_is() -> None:
    assert "digest other" in drift_of_version(service(digest="other", config=CONFIG))
    assert "no config" in drift_of_version(service(config={}))
    assert "not valid" in drift_of_version(service(digest=DIGEST, config={**CONFIG, "gpu": "abacus"}))


def test_the_options_that_differ_are_named() -> None:
    place = WORDS.index("--tensor-parallel-size")
    words = (*WORDS[:place], "--tensor-parallel-size", "8", *WORDS[place + 2 :], "--swap-space", "4")
    said = drift_of_version(service(digest="other", config=CONFIG, argv=words))
    old, new = "`--tensor-parallel-size 8`, `--swap-space 4`", "`--tensor-parallel-size 4`"
    assert said.endswith(f": it was launched with {old}; it would be {new} now")


def test_where_no_option_differs_that_is_said() -> None:
    said = drift_of_version(service(digest="other", config=CONFIG, argv=("vllm", "serve", *WORDS)))
    assert said.endswith(": its vLLM options are the same, its environment or container is not")
