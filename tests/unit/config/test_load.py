from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsv4_launch.config.load import dump, load, load_rest
from dsv4_launch.config.model import LaunchConfig
from dsv4_launch.config.yaml_text import MAX_BYTES
from dsv4_launch.errors import InputError, Problem

GOOD = """\
name: x
model: flash
vllm: "0.20.0"
gpu: b200
engine:
  max_model_len: auto
  linear_backend: auto
"""


def problems(text: str | bytes, overrides: tuple[str, ...] = ()) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        load(text, "c.yaml", overrides)
    return caught.value.problems


def only(text: str | bytes) -> Problem:
    (problem,) = problems(text)
    return problem


def test_a_good_config_loads_and_keeps_its_lines():
    loaded = load(GOOD, "c.yaml")
    assert loaded.config.engine.max_model_len == "auto"
    assert loaded.config.engine.model_extra == {"linear_backend": "auto"}
    assert loaded.origins.where(("engine", "linear_backend")) == "c.yaml:7"
    assert loaded.origins.where(("engine", "not_written")) == "c.yaml:5"
    assert loaded.origins.where(("server", "port")) == "c.yaml"


# Each broken file gets one clear error, with the line where there is one.
@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("", "c.yaml", "empty"),
        ("  \n# nothing\n", "c.yaml:1", "table"),
        ("- a\n", "c.yaml:1", "table"),
        ("name: x\nname: y\n", "c.yaml:2", "stands twice"),
        ("name: x\nserver:\n\tport: 1\n", "c.yaml:3", "tab"),
        ("name: x\n---\nname: y\n", "c.yaml:2", "more than one YAML document"),
        ("a: &a [1]\nb: *a\n", "c.yaml:1", "anchors"),
        ("a: &a [*a]\n", "c.yaml:1", "anchors"),
        ("a: &a x\nb: *a\n", "c.yaml:1", "anchors"),
        ("a: \udc80\n", "c.yaml", "UTF-8"),
        ("a: *nowhere\n", "c.yaml:1", "undefined alias"),
        ("a: !!python/object:os.system x\n", "c.yaml:1", "tag"),
        ("? [a]\n: b\n", "c.yaml:1", "plain word"),
        ("a: {b\n", "c.yaml:2", "not YAML"),
        ("a: " + "[" * 500 + "]" * 500, "c.yaml:1", "nested"),
        ("a: " + "[" * 400_000, "c.yaml:1", "nested"),
        ("- " * 400_000 + "x", "c.yaml:1", "nested"),
        ("? " * 400_000 + "x", "c.yaml:1", "nested"),
        ("a:\n" + "".join(" " * n + "b:\n" for n in range(1300)), "c.yaml:22", "nested"),
        (b"name: \xff\xfe\n", "c.yaml:1", "UTF-8"),
        (b"a" * (MAX_BYTES + 1), "c.yaml", "larger than"),
        ("a: \x00\n", "c.yaml", "not YAML"),
    ],
)
def test_a_broken_file_gets_one_clear_error(text, where, said):
    problem = only(text)
    assert problem.where == where
    assert said in problem.message


def test_an_alias_bomb_is_refused_without_being_expanded():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert all("anchors" in problem.message for problem in problems("\n".join(lines)))


def test_every_problem_is_told_at_once_each_with_its_line():
    text = GOOD + "server: {prot: 1}\nparallel:\n  tensor: four\nshm_size: 1g\n"
    found = {(problem.where, problem.message.split(" ")[0]) for problem in problems(text)}
    assert found == {("c.yaml:8", "server"), ("c.yaml:10", "parallel.tensor"), ("c.yaml:11", "a")}


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        ("vllm: 0.20", "vllm is 0.2", "Quote it"),
        ("vllm: latest", "a release such as", ""),
        ("sever: {}", "no field 'sever'", "Did you mean server?"),
        ("tensor_parallel_size: 4", "no field", "Did you mean parallel.tensor?"),
        ("engine: {block_size: '256'}", "engine.block_size is '256'", "without quotes"),
        ("engine: {max_model_len: 12q}", "64k = 64,000", "Longest request"),
        ("engine: {gpu_memory_utilization: 1.5}", "at most 1", ""),
        ("engine: {compilation_config: {cudagraph_mode: FULLL}}", "FULL_AND_PIECEWISE", "Did you mean FULL?"),
        ("server: {port: 1:30}", "server.port is '1:30'", ""),
        ("server: {port: 0x1F}", "server.port is '0x1F'", ""),
        ("target: {type: podman}", "target.type must be docker or native", ""),
        ("target: {type: docker, executable: x}", "no field 'executable'", "restart"),
        ("gpus: [0, a]", "gpus.1 is 'a'", ""),
        ("env: {'a b': x}", "not a name", ""),
        ("name: -x", "lower-case", ""),
    ],
)
def test_an_error_names_the_value_and_what_is_right(line, message, fix):
    key = line.split(":")[0]
    kept = [row for row in GOOD.splitlines() if not row.startswith((f"{key}:", " "))]
    text = "\n".join([*[row for row in kept if not row.startswith("engine")], line])
    problem = only(text)
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    "line", ["secrets: {hf_token: 'canary secret'}", "env: {A: [canary]}", 'env: {A: "canary\\n"}']
)
def test_what_may_be_a_secret_is_not_repeated_in_an_error(line):
    assert "canary" not in repr(problems(GOOD + line + "\n"))


@pytest.mark.parametrize("source", ["rel/x", "~bob/x", "/a:b", "", "a b"])
def test_a_mount_that_docker_would_read_otherwise_is_refused(source):
    (problem,) = problems(GOOD + f"container: {{mounts: [{{source: '{source}', target: /x}}]}}\n")
    assert problem.where == "c.yaml:8"


def test_what_is_of_the_right_type_can_be_judged_beside_what_is_not():
    text = GOOD.replace("name: x", "name: F our") + "server: {prt: 1, port: 99}\ngpus: [0, a]\n"
    rest = load_rest(text, "c.yaml")
    assert rest is not None
    assert rest.config.server.port == 99
    assert rest.config.gpus == "all"
    assert rest.origins.where(("engine", "linear_backend")) == "c.yaml:7"
    assert load_rest("name: {", "c.yaml") is None
    assert load_rest("name: x", "c.yaml") is None


def test_overrides_apply_and_are_named_in_errors():
    loaded = load(GOOD, "c.yaml", ["engine.block_size=256", "parallel={tensor: 4}", "engine.max_model_len=64k"])
    assert (loaded.config.engine.block_size, loaded.config.parallel.tensor) == (256, 4)
    assert loaded.config.engine.max_model_len == "64k"
    assert loaded.origins.where(("engine", "block_size")) == "--set engine.block_size"
    (problem,) = problems(GOOD, ("engine.block_size=x",))
    assert problem.where == "--set engine.block_size"


def test_a_table_that_only_an_override_made_is_where_the_override_is():
    where = load(GOOD, "c.yaml", ("engine.made_up.x=3",)).origins.where
    assert where(("engine", "made_up")) == "--set engine.made_up.x"
    assert where(("engine",)).startswith("c.yaml:")


@pytest.mark.parametrize("override", ["engine", "=3", "engine..x=1", "name.a=3", "engine.x=[1"])
def test_a_bad_override_is_an_error(override):
    assert "--set" in problems(GOOD, (override,))[0].where


_names = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


@st.composite
def configs(draw) -> LaunchConfig:
    number = st.integers(1, 2**20)
    data = {
        "name": draw(_names),
        "model": draw(
            st.sampled_from(["flash", {"repo": "a/b", "variant": "flash"}, {"path": "~/w", "variant": "flash"}])
        ),
        "vllm": draw(st.sampled_from(["0.20.0", "0.33.0", "0.20.1rc1.dev144+gabc"])),
        "gpu": "b200",
        "gpus": draw(st.sampled_from(["all", "auto"]) | st.lists(st.integers(0, 7), min_size=1, max_size=4).map(tuple)),
        "parallel": {"tensor": draw(st.integers(1, 8)), "expert": draw(st.booleans())},
        "engine": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "block_size": number,
                    "max_model_len": st.one_of(st.just("auto"), number, st.just("1M")),
                    "gpu_memory_utilization": st.floats(0.01, 1.0),
                    "tool_call_parser": st.sampled_from(
                        ["deepseek_v4", "no", "1e3", "0x1F", "null", "12:30", "on", "~"]
                    ),
                    "some_flag": st.one_of(
                        st.booleans(), number, st.just("x: y"), st.lists(number, max_size=3).map(tuple)
                    ),
                },
            )
        ),
        "env": draw(
            st.dictionaries(
                st.from_regex(r"[A-Z_]{1,10}", fullmatch=True), st.text("abc #:'\"%&*!|>{}[],@`", max_size=20)
            )
        ),
    }
    return LaunchConfig.model_validate(data)


@settings(max_examples=200, deadline=None)
@given(configs())
def test_what_is_dumped_loads_as_the_same_config(config):
    assert load(dump(config), "c.yaml").config == config


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_config_or_an_input_error(data):
    with contextlib.suppress(InputError):
        load(data, "c.yaml")
