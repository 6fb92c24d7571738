"""The VLLM_ variables of a config: those of its release, and what is told of others."""

from __future__ import annotations

import pytest

from dsv4_launch.catalog.flags import flag_table
from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.config.load import load
from dsv4_launch.errors import ImpossibleError, InputError
from dsv4_launch.plan.resolve import resolve

TEXT = 'name: x\nmodel: flash\nvllm: "0.33.0"\ngpu: b200\nparallel: {tensor: 8}\nenv:\n  HOME_OF_MINE: a\n  %s: "1"\n'
FAILS = "--fail-on-environ-validation"


def words(*overrides: str, name: str = "VLLM_SERVER_DEV_MODE") -> list[object]:
    return [word for argument in resolve(load(TEXT % name, "x.yaml", overrides)).arguments for word in argument.argv]


def test_a_variable_that_no_release_reads_is_refused_with_the_nearest():
    with pytest.raises(InputError) as caught:
        words(name="VLLM_ENGINE_REDY_TIMEOUT_S")
    problem = caught.value.problems[0]
    assert (problem.code, problem.where) == ("variable-unknown", "x.yaml:8")
    assert "VLLM_ENGINE_READY_TIMEOUT_S" in problem.fix


def test_the_nearest_variable_is_near_without_the_prefix_that_all_have():
    with pytest.raises(InputError) as caught:
        words(name="VLLM_FOO")
    assert "Did you mean" not in caught.value.problems[0].fix
    with pytest.raises(InputError) as caught:
        words(name="VLLM_PROT")
    assert caught.value.problems[0].fix == "Did you mean VLLM_PORT?"


def test_a_variable_of_other_releases_is_told_with_those():
    with pytest.raises(ImpossibleError) as caught:
        words("vllm='0.20.0'", name="VLLM_BUILD_COMMIT")
    problem = caught.value.problems[0]
    assert problem.code == "variable-not-in-release"
    assert "0.26.0 to 0.33.0" in problem.message


@pytest.mark.parametrize("overrides", [["engine.fail_on_environ_validation=false"], ["vllm='0.33.1.dev7+gabc'"]])
def test_where_a_plugin_or_another_build_may_read_it_it_is_a_warning(overrides: list[str]):
    plan = resolve(load(TEXT % "VLLM_OF_A_PLUGIN", "x.yaml", overrides))
    assert any(n.kind == "warning" and "VLLM_OF_A_PLUGIN" in n.subject and n.source == "x.yaml:8" for n in plan.notices)


def test_vllm_is_told_to_fail_where_its_image_sets_nothing_unknown():
    assert FAILS in words()
    assert FAILS in words("vllm='0.26.0'")
    # Official images set VLLM_BUILD_COMMIT and VLLM_IMAGE_TAG, which these releases do not know.
    assert FAILS not in words("vllm='0.25.1'")
    assert not {"VLLM_BUILD_COMMIT", "VLLM_IMAGE_TAG"} & set(flag_table("0.25.1").env)
    assert {"VLLM_BUILD_COMMIT", "VLLM_IMAGE_TAG"} <= set(flag_table("0.26.0").env)
    assert FAILS not in words("engine.fail_on_environ_validation=false")


@pytest.mark.parametrize("name", builtins())
@pytest.mark.parametrize("target", ["docker", "native"])
def test_what_we_set_ourselves_the_release_reads(name: str, target: str):
    plan = resolve(load_config(name, [], target))
    ours = {variable.name for variable in plan.environment if variable.name.startswith("VLLM_")}
    assert ours <= set(flag_table(plan.vllm).env)
    told = FAILS in [word for argument in plan.arguments for word in argument.argv]
    assert told == (plan.vllm >= "0.26.0")
    assert not (told and name == "flash-b200")
