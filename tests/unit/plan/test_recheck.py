from __future__ import annotations

import pytest

from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.errors import ImpossibleError, Problem
from dsv4_launch.plan.recheck import recheck
from dsv4_launch.plan.resolve import examine_config, resolve


def refused(*overrides: str, name: str = "flash-b200") -> tuple[Problem, ...]:
    plan, problems = examine_config(load_config(name, overrides))
    assert plan is not None
    assert not problems
    return recheck(plan)


def codes(*overrides: str, name: str = "flash-b200") -> list[str]:
    return [problem.code for problem in refused(*overrides, name=name)]


@pytest.mark.parametrize("name", builtins())
def test_every_built_in_config_is_taken(name: str) -> None:
    assert codes(name=name) == []


def test_combinations_that_vllm_refuses_point_at_the_config() -> None:
    (problem,) = refused("engine.numa_bind_nodes=[0]")
    assert problem.code == "numa-needs-bind"
    assert problem.where == "--set engine.numa_bind_nodes"


def test_a_parser_that_the_release_does_not_have() -> None:
    assert codes("engine.reasoning_parser=deepseek_v41") == ["parser-unknown"]


def test_a_variable_may_lift_a_limit() -> None:
    assert codes("engine.max_model_len=2097152", "env.VLLM_ALLOW_LONG_MAX_MODEL_LEN='1'") == []


def test_whatever_resolves_a_config_refuses_them() -> None:
    with pytest.raises(ImpossibleError) as caught:
        resolve(load_config("flash-b200", ["engine.numa_bind_nodes=[0]"]))
    assert [problem.code for problem in caught.value.problems] == ["numa-needs-bind"]
