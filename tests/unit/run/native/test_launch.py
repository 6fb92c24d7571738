"""What is said to somebody who has no vLLM to launch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from checks.plans import PLANS
from dsv4_launch.errors import HostError
from dsv4_launch.run.native.launch import locate
from dsv4_launch.values import Command


def test_an_installation_is_named_with_the_constraints_that_its_release_needs() -> None:
    plan = replace(PLANS["native"], vllm="0.33.0")
    with pytest.raises(HostError) as refused:
        locate(Command(argv=("/no/such/vllm",)), {}, plan)
    fix = refused.value.problems[0].fix
    assert "vllm==0.33.0 -c " in fix
    assert Path(fix.split("-c ")[1].split("`")[0]).is_file()
