from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dsv4_launch.catalog.flags import flag_table, versions
from dsv4_launch.catalog.migrations import Migration, migrations
from dsv4_launch.config.load import load
from dsv4_launch.config.yaml_text import parse
from dsv4_launch.convert.migrate.migration import Migrated, migrate
from dsv4_launch.convert.migrate.places import has, places
from dsv4_launch.errors import ImpossibleError, InputError, Problem
from dsv4_launch.plan.resolve import examine_config, resolve
from release_drift import Loss, losses

BUILT_IN = {path.stem: path.read_text() for path in sorted((Path(__file__).parents[4] / "configs").glob("*.yaml"))}


def config(vllm: str, engine: str = "", rest: str = "", gpu: str = "b200") -> str:
    return (
        f'name: x\nmodel: flash\nvllm: "{vllm}"\ngpu: {gpu}\nparallel: {{tensor: 4, expert: true}}\n'
        f"engine:\n  kv_cache_dtype: fp8\n{engine}{rest}"
    )


def engine_of(found: Migrated) -> dict[str, Any]:
    return parse(found.text, "x")[0]["engine"]


# ---- Laws ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", versions())
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_moves_to_every_release_or_says_why_not(name, to):
    text = BUILT_IN[name]
    refused = problems_of(text, to)
    if refused:
        assert all(len(problem.message) > 20 and problem.where and problem.fix for problem in refused)
        return
    found = migrate(text, name, to)
    loaded = load(found.text, name)
    assert resolve(loaded).vllm == to
    again = migrate(found.text, name, to)
    assert (again.text, again.changes) == (found.text, ())
    assert comments(found.text) == comments(text)


def test_what_the_built_ins_can_do():
    """The refusals above are about the releases that a checkpoint needs, and nothing else."""
    refused = {
        name: [{problem.code for problem in problems} for to in versions() if (problems := problems_of(text, to))]
        for name, text in BUILT_IN.items()
    }
    counted = {name: len(codes) for name, codes in refused.items() if codes}
    assert counted == {"flash-0731-b200": 8, "flash-b200-dp8": 8, "flash-nvfp4-b200": 4}
    assert all(codes == {"version-too-old"} for every in refused.values() for codes in every)


def problems_of(text: str, to: str) -> tuple[Problem, ...]:
    """Why a config cannot move; none when it can."""
    try:
        migrate(text, "x.yaml", to)
    except ImpossibleError as error:
        return error.problems
    return ()


def comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)


@settings(deadline=None)
@given(st.sampled_from(sorted(BUILT_IN)), st.sampled_from(versions()), st.sampled_from(versions()))
def test_the_way_does_not_matter_for_what_needs_no_change(name, over, to):
    """Over another release, or back from it, the config is the same as going straight: no setting is lost."""
    text = BUILT_IN[name]
    try:
        straight = migrate(text, name, to)
        there = migrate(migrate(text, name, over).text, name, to)
    except ImpossibleError:
        return
    assert there.text == straight.text


SAMPLES: dict[str, Any] = {
    "env.VLLM_MM_HASHER_ALGORITHM": "sha256",
    "env.VLLM_NVFP4_GEMM_BACKEND": "flashinfer-cutlass",
    "env.VLLM_PREFIX_CACHE_RETENTION_INTERVAL": "4096",
    "env.VLLM_USE_FLASHINFER_MOE_FP16": "no",
    "env.VLLM_USE_FLASHINFER_MOE_FP4": "no",
    "env.VLLM_USE_FLASHINFER_MOE_FP8": "no",
    "env.VLLM_USE_FLASHINFER_MOE_MXFP4_BF16": "no",
    "SpeculativeConfig.speculative_token_tree": "[(0,), (0, 0)]",
    "enable_mamba_fine_grained_prefix_cache": True,
    "log_config_file": "/etc/logs.json",
}
TABLES = {
    "AttentionConfig": ("attention_config",),
    "ECTransferConfig": ("ec_transfer_config",),
    "KernelConfig": ("kernel_config",),
    "KVTransferConfig": ("kv_transfer_config",),
    "PassConfig": ("compilation_config", "pass_config"),
    "PoolerConfig": ("pooler_config",),
    "SpeculativeConfig": ("speculative_config",),
}
WITH: dict[str, Any] = {
    "engine.kv_transfer_config": {"kv_connector": "MoRIIOConnector", "kv_role": "kv_both"},
    "engine.moe_backend": "triton",
    "env.VLLM_USE_FLASHINFER_MOE_FP4": "1",
}
CASES = [
    (row, border, name, value)
    for row in migrations()
    for border in row.borders
    for name in row.names
    if row.action != "keep" and name != "LoadConfig.load_format"
    for value in (row.values or (SAMPLES.get(name, "0" if name.startswith("env.") else 1),))
]


@pytest.mark.parametrize(("row", "border", "name", "value"), CASES, ids=lambda case: str(case)[:60])
def test_every_row_does_what_it_says(row: Migration, border: str, name: str, value: Any):
    order = versions()
    older = order[order.index(border) - 1]
    before, after = (border, older) if row.down else (older, border)
    data = yaml.safe_load(config(before, gpu="h200" if "sm90" in row.when.get("arch", ()) else "b200"))
    place: tuple[str, ...] = tuple(name.split("."))
    if place[0] != "env":
        place = ("engine", *TABLES[place[0]], place[1]) if len(place) == 2 else ("engine", name)
    put(data, place, value)
    if row.only_with:
        said = next(path for path in row.only_with if path in WITH)
        put(data, tuple(said.split(".")), WITH[said])
    text = yaml.safe_dump(data, sort_keys=False)
    if row.action == "refuse":
        with pytest.raises(ImpossibleError) as caught:
            migrate(text, "x.yaml", after)
        (problem,) = caught.value.problems
        assert (problem.code, problem.where) == ("gone", f"x.yaml:{line_of(text, place)}")
        assert row.why in problem.message
        return
    found = migrate(text, "x.yaml", after)
    assert row.why in {change.why for change in found.changes}
    left = [p for p in places(parse(found.text, "x")[0], flag_table(before)) if row.is_about(p.name, p.value)]
    assert left == []
    # Value by value: some rows are about a field that vLLM takes with others only.
    assert examine_config(load(found.text, "x.yaml"))[1] == []


def farthest(loss: Loss) -> tuple[str, str]:
    """The oldest release from which an option was there until it went, and the newest: all borders between."""
    order = versions()
    until = order[: order.index(loss.release)]
    without = [n for n, version in enumerate(until) if not has(flag_table(version), loss.name)]
    return until[without[-1] + 1 if without else 0], order[-1]


@pytest.mark.parametrize("loss", [loss for loss in losses() if loss.kind == "gone"], ids=lambda loss: loss.name)
def test_what_goes_is_moved_or_refused_at_its_line_over_all_releases_between(loss: Loss):
    before, after = farthest(loss)
    data = yaml.safe_load(config(before))
    put(data, path_of(loss.name), SAMPLES.get(loss.name, "0" if loss.name.startswith("env.") else 1))
    text = yaml.safe_dump(data, sort_keys=False)
    line = f"x.yaml:{line_of(text, path_of(loss.name))}"
    if refused := problems_of(text, after):
        assert [(problem.code, problem.where) for problem in refused] == [("gone", line)]
        return
    found = migrate(text, "x.yaml", after)
    assert line in {change.where for change in found.changes}
    left = {place.name for place in places(parse(found.text, "x")[0], flag_table(before))}
    assert {name for name in left if not has(flag_table(after), name)} == set()


def path_of(name: str) -> tuple[str, ...]:
    table, _, field = name.rpartition(".")
    return ("env", field) if table == "env" else ("engine", *TABLES.get(table, ()), field)


def put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value


def line_of(text: str, path: tuple[str, ...]) -> int:
    return parse(text, "x")[1][path]


# ---- Cases that people have ----------------------------------------------------------------------------------------


def test_the_documented_indexer_flag_becomes_the_neutral_field():
    text = config("0.20.0", "  attention_config:\n    use_fp4_indexer_cache: true  # half the reads\n")
    found = migrate(text, "x.yaml", "0.33.0")
    assert engine_of(found) == {"kv_cache_dtype": "fp8", "indexer_cache_dtype": "fp4"}
    assert "  indexer_cache_dtype: fp4  # half the reads\n" in found.text
    words = [word for argument in resolve(load(found.text, "x")).arguments for word in argument.argv]
    assert "--attention_config.indexer_kv_dtype=mxfp4" in words
    back = migrate(found.text, "x.yaml", "0.20.0")
    assert engine_of(back) == {"kv_cache_dtype": "fp8", "indexer_cache_dtype": "fp4"}


@pytest.mark.parametrize(
    "engine",
    [
        "  attention_config.use_fp4_indexer_cache: true\n",
        "  attention-config.use_fp4_indexer_cache: true\n",
        "  attention_config: {use_fp4_indexer_cache: true}\n",
        """  attention_config: '{"use_fp4_indexer_cache": true}'\n""",
    ],
)
def test_a_field_is_found_however_it_is_written(engine):
    found = migrate(config("0.29.0", engine), "x.yaml", "0.30.0")
    assert engine_of(found) == {"kv_cache_dtype": "fp8", "indexer_cache_dtype": "fp4"}


def test_what_stands_beside_it_in_a_json_text_stays():
    engine = """  kv_transfer_config: '{"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_rank": 1}'\n"""
    found = migrate(config("0.31.0", engine), "x.yaml", "0.32.0")
    assert engine_of(found)["kv_transfer_config"] == {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    untouched = migrate(config("0.32.0", engine.replace(', "kv_rank": 1', "")), "x.yaml", "0.33.0")
    assert engine.replace(', "kv_rank": 1', "") in untouched.text


def test_what_is_gone_is_refused_inside_a_json_text_too():
    engine = """  speculative_config: '{"method": "medusa", "model": "x/y", "num_speculative_tokens": 2}'\n"""
    (problem,) = problems_of(config("0.32.0", engine), "0.33.0")
    assert (problem.code, problem.where) == ("gone", "x.yaml:8")


def test_lines_that_end_as_on_windows_and_a_byte_order_mark_stay():
    text = "\ufeff" + config("0.29.0", "  attention_config:\n    use_fp4_indexer_cache: true  # x\n").replace(
        "\n", "\r\n"
    )
    found = migrate(text, "x.yaml", "0.30.0").text
    assert found.startswith("\ufeff")
    assert found.count("\n") == found.count("\r\n") == text.count("\n") - 1
    assert "  indexer_cache_dtype: fp4  # x\r\n" in found


def test_a_new_name_that_is_said_already_stands():
    engine = "  attention_config:\n    disable_flashinfer_prefill: true\n    mla_prefill_backend: TRTLLM_RAGGED\n"
    found = migrate(config("0.21.0", engine), "x.yaml", "0.22.0")
    assert engine_of(found)["attention_config"] == {"mla_prefill_backend": "TRTLLM_RAGGED"}


def test_a_rename_keeps_its_line_and_comment():
    engine = "  # checkpoints\n  enable_mamba_fine_grained_prefix_cache: false  # off\n  seed: 1\n"
    engine += "  log_config_file: /x.json\n"
    found = migrate(config("0.30.0", engine), "x.yaml", "0.31.0")
    assert "  # checkpoints\n  enable_mamba_shared_prefix_checkpoint: false  # off\n  seed: 1\n" in found.text
    assert engine_of(found)["logging_config"] == {"pylogging_config_file": "/x.json"}
    back = migrate(found.text, "x.yaml", "0.30.0")
    assert engine_of(back)["log_config_file"] == "/x.json"
    assert engine_of(back)["enable_mamba_fine_grained_prefix_cache"] is False


def test_a_table_in_braces_that_becomes_one_setting_keeps_its_line_and_comment():
    text = config("0.20.0", "  attention_config: {use_fp4_indexer_cache: true}  # half the bytes\n  seed: 1\n")
    found = migrate(text, "x.yaml", "0.33.0")
    assert "  indexer_cache_dtype: fp4  # half the bytes\n  seed: 1\n" in found.text
    assert comments(found.text) == comments(text)
    text = text.replace("cache: true}", "cache: true,  # on\n    }")
    assert comments(migrate(text, "x.yaml", "0.33.0").text) == ["# on", "# half the bytes"]


def test_a_variable_becomes_an_option_and_again_a_variable():
    text = config("0.28.0", rest='env:\n  VLLM_PREFIX_CACHE_RETENTION_INTERVAL: "4096"\n')
    found = migrate(text, "x.yaml", "0.30.0")
    assert engine_of(found)["prefix_cache_retention_interval"] == 4096
    assert "env" not in parse(found.text, "x")[0]
    back = migrate(found.text, "x.yaml", "0.28.0")
    assert parse(back.text, "x")[0]["env"] == {"VLLM_PREFIX_CACHE_RETENTION_INTERVAL": "4096"}


def test_a_variable_that_the_older_release_does_not_read_goes():
    table, older = flag_table("0.33.0").env, flag_table("0.20.0").env
    name = next(name for name in table if name not in older)
    found = migrate(config("0.33.0", rest=f'env:\n  {name}: "1"\n  MY_OWN: "2"\n'), "x.yaml", "0.20.0")
    assert parse(found.text, "x")[0]["env"] == {"MY_OWN": "2"}
    assert "does not read it" in next(c.why for c in found.changes if c.path == f"env.{name}")


def test_everything_that_cannot_move_is_listed_at_its_own_line():
    engine = "  spec_method: medusa\n  attention_config:\n    use_cudnn_prefill: true\n  load_format: gguf\n"
    with pytest.raises(ImpossibleError) as caught:
        migrate(config("0.21.0", engine), "x.yaml", "0.33.0")
    where = [problem.where for problem in caught.value.problems]
    assert sorted(where) == ["x.yaml:10", "x.yaml:11", "x.yaml:8"]  # each once


def test_an_option_that_the_older_release_has_not_is_refused_and_not_dropped():
    with pytest.raises(ImpossibleError, match=r"0\.20\.0 has no linear_backend"):
        migrate(config("0.33.0", "  linear_backend: marlin\n"), "x.yaml", "0.20.0")


def test_a_release_that_was_raised_by_hand_is_cleaned_up_too():
    text = config("0.33.0", "  max_num_partial_prefills: 1\n  attention_config: {use_fp4_indexer_cache: true}\n")
    found = migrate(text, "x.yaml", "0.33.0")
    assert engine_of(found) == {"kv_cache_dtype": "fp8", "indexer_cache_dtype": "fp4"}


def test_auto_means_nothing_to_an_older_release():
    found = migrate(config("0.33.0").replace("fp8", "auto"), "x.yaml", "0.29.0")
    assert engine_of(found) == {"kv_cache_dtype": "fp8"}


# ---- Release and image ---------------------------------------------------------------------------------------------

DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "after"),
    [
        ("vllm/vllm-openai:v0.20.0", "vllm/vllm-openai:v0.33.0"),
        ("vllm/vllm-openai:v0.20.0-cu129", "vllm/vllm-openai:v0.33.0-cu129"),
        (f"docker.io/vllm/vllm-openai:v0.20.0{DIGEST}", "docker.io/vllm/vllm-openai:v0.33.0"),
        (f"vllm/vllm-openai{DIGEST}", "vllm/vllm-openai:v0.33.0"),
        ("my.registry/team/server", "my.registry/team/server"),
    ],
)
def test_the_images_tag_follows_the_release(image, after):
    found = migrate(config("0.20.0", rest=f"container:\n  image: {image}\n"), "x.yaml", "0.33.0")
    data, _ = parse(found.text, "x")
    assert (data["vllm"], data["container"]["image"]) == ("0.33.0", after)
    assert ("dsv4 pin" in " ".join(note.text for note in found.notes)) == ("@" in image)


def test_a_pinned_image_of_the_same_release_stays_pinned():
    text = config("0.33.0", rest=f"container:\n  image: vllm/vllm-openai:v0.33.0{DIGEST}\n")
    found = migrate(text, "x.yaml", "0.33.0")
    assert (found.text, found.changes, found.notes) == (text, (), ())


def test_a_release_that_only_the_image_says_stays_there():
    text = config("0.20.0", rest="container:\n  image: vllm/vllm-openai:v0.20.0\n").replace('vllm: "0.20.0"\n', "")
    found = migrate(text, "x.yaml", "0.21.0")
    assert found.text == text.replace("v0.20.0", "v0.21.0")


def test_an_image_of_somebody_else_with_a_release_in_its_tag_is_refused():
    with pytest.raises(ImpossibleError, match="not vLLM's own image"):
        migrate(config("0.20.0", rest="container:\n  image: my/vllm:0.20.0\n"), "x.yaml", "0.33.0")


def test_a_custom_build_starts_where_its_table_is():
    found = migrate(config("0.20.1rc1.dev144+g1234"), "x.yaml", "0.21.0")
    assert parse(found.text, "x")[0]["vllm"] == "0.21.0"


@pytest.mark.parametrize(("to", "near"), [("0.33.1", "0.33.0"), ("0.20.3", "0.20.2"), ("latest", "0.33.0")])
def test_an_unknown_release_is_refused_with_the_nearest(to, near):
    with pytest.raises(InputError) as caught:
        migrate(config("0.20.0"), "x.yaml", to)
    assert f"The nearest is {near}." in caught.value.problems[0].fix


# ---- What is said --------------------------------------------------------------------------------------------------


def test_changes_of_behaviour_are_said_going_up_and_going_down():
    up = [note.text for note in migrate(BUILT_IN["flash-b200"], "x", "0.33.0").notes]
    assert any(text.startswith("replies think by default") for text in up)
    assert any("two steps in flight" in text for text in up)
    text = BUILT_IN["flash-b200"].replace("0.20.0", "0.33.0")
    down = [note.text for note in migrate(text, "x", "0.20.0").notes]
    assert any(text.startswith("replies do not think by default") for text in down)


def test_a_change_that_the_config_decides_itself_is_not_said():
    text = config("0.27.1", "  default_chat_template_kwargs: {thinking: false}\n")
    assert not any("think" in note.text for note in migrate(text, "x", "0.28.0").notes)


# ---- Comments ------------------------------------------------------------------------------------------------------

# Settings of 0.20.0 that some later release took, each as the lines that say it.
OLD = {
    "attention_config": "  attention_config:  # all\n    # the indexer\n    use_fp4_indexer_cache: true  # FP4\n",
    "prefill": "  attention-config.disable_flashinfer_prefill: true  # slow\n",
    "all2all_backend": "  all2all_backend: mori  # AMD\n",
    "partial": "  # at most\n  max_num_partial_prefills: 1\n",
    "scales": "  calculate_kv_scales: false\n  # after the scales\n",
    "logs": "  log_config_file: /logs.json  # where\n",
    "traces": "  collect_detailed_traces: model,worker  # both\n  otlp_traces_endpoint: http://localhost:4317\n",
    "passes": "  compilation_config: {pass_config: {enable_sp: true}, custom_ops: [all]}  # in braces\n",
    "transfer": "  kv_transfer_config:\n    kv_connector: NixlConnector  # P/D\n    kv_role: kv_both\n"
    "    kv_ip: 10.0.0.1  # gone\n",
    "tokenizer": "  tokenizer_mode: slow  # exact\n",
    "medusa": "  speculative_config: {method: medusa, model: x/y, num_speculative_tokens: 2}\n",
}


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(sorted(OLD)), unique=True).filter(
        lambda keys: {"attention_config", "prefill"} - set(keys)
    ),
    st.sampled_from(versions()),
)
def test_whatever_is_moved_resolves_keeps_its_comments_and_stays(keys, to):
    text = config("0.20.0", "".join(OLD[key] for key in keys), 'env:\n  # ms\n  VLLM_RPC_TIMEOUT: "1"\n  A: b  # c\n')
    if refused := problems_of(text, to):
        assert {problem.code for problem in refused} == {"gone"}
        assert "medusa" in keys
        assert to == "0.33.0"
        return
    found = migrate(text, "x.yaml", to)
    resolve(load(found.text, "x.yaml"))
    again = migrate(found.text, "x.yaml", to)
    assert (again.text, again.changes) == (found.text, ())
    own_lines = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
    left = [line.strip() for line in found.text.splitlines()]
    assert [line for line in left if line in own_lines] == own_lines
    dropped = {"# gone"}  # it stood behind a setting that went without anything in its place
    assert set(comments(text)) - set(comments(found.text)) <= dropped
    kept = [key for key in parse(text, "x")[0]["engine"] if key in engine_of(found)]
    assert kept == [key for key in engine_of(found) if key in kept], "the order of what stays"


def test_every_change_says_where_the_setting_stood_and_what_became_of_it():
    text = config("0.20.0", OLD["partial"] + OLD["all2all_backend"])
    found = migrate(text, "x.yaml", "0.28.0")
    assert [(c.where, c.path, c.old, c.new, c.release) for c in found.changes] == [
        ("x.yaml:3", "vllm", "0.20.0", "0.28.0", "0.28.0"),
        ("x.yaml:10", "engine.all2all_backend", "mori", "engine.all2all_backend: mori_high_throughput", "0.23.0"),
        ("x.yaml:9", "engine.max_num_partial_prefills", 1, "", "0.27.0"),
    ]
