"""What is known of the model on vLLM is in the data under its number, with releases, a source and what tells of it."""

from __future__ import annotations

import re

import pytest

from dsv4_launch.catalog.advisories import advisories
from dsv4_launch.catalog.flags import flag_table, versions
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.limits import Limit, limits
from dsv4_launch.catalog.memory import caches, regime
from dsv4_launch.catalog.rules import constraints, rules
from dsv4_launch.catalog.version import within
from dsv4_launch.cli.advisories.explaining import explanations
from dsv4_launch.config.load import load
from dsv4_launch.errors import Dsv4Error
from dsv4_launch.plan.fit.planner import fit
from dsv4_launch.plan.resolve import examine_config, resolve

SOURCE = re.compile(r"https://[^\s<>]+|vllm \d+\.\d+\.\d+ [\w/.]+\.py(:\d+| \([\w, ]+\))?|https://\S+ [\w/.]+:\d+")
BASE = 'name: x\nmodel: flash\nvllm: "0.33.0"\ngpu: b200\n'
IDS = [f"H{n}" for n in range(1, 27)]


def at(version: str) -> str:
    return f"vllm='{version}'"


def codes(*overrides: str) -> set[str]:
    """The problems of a config, and the warnings of its plan."""
    plan, problems = examine_config(load(BASE, "x.yaml", overrides))
    return {problem.code for problem in problems} | {notice.code for notice in (plan.notices if plan else ())}


def test_every_limit_is_there_under_its_number():
    assert [limit.id for limit in limits()] == IDS


def test_every_known_failure_is_there_under_its_number():
    ids = [advisory.id for advisory in advisories()]
    assert {f"D{n:02d}" for n in range(1, 55)} <= set(ids)


@pytest.mark.parametrize("limit", limits(), ids=lambda limit: limit.id)
def test_a_limit_has_releases_sources_and_what_tells_of_it(limit: Limit):
    assert limit.sources
    assert all(SOURCE.fullmatch(source) for source in limit.sources)
    assert not limit.vllm or any(within(version, limit.vllm) for version in versions())
    known = explanations()
    assert set(limit.codes) <= set(known)
    assert known[limit.id].sources == limit.sources
    # What no config and no log can show is held by one of the tests below.
    assert limit.codes or limit.id in SILENT


@pytest.mark.parametrize("row", [*constraints(), *rules()], ids=lambda row: getattr(row, "code", row.why[:40]))
def test_constraints_and_rules_say_where_it_was_read(row):
    assert SOURCE.match(row.source)


@pytest.mark.parametrize("advisory", advisories(), ids=lambda advisory: advisory.id)
def test_an_advisory_has_a_public_source(advisory):
    assert advisory.sources
    assert all(source.startswith("https://") for source in advisory.sources)


# --- limits that no code tells of -----------------------------------------------------------------------------------


def fitted(*overrides: str):
    return fit(resolve(load(BASE, "x.yaml", overrides)))


def kv_bytes(*overrides: str) -> int:
    return fitted(*overrides).bytes_per_block


def test_h2_fp8_takes_584_bytes_a_token_under_both_names():
    assert {c.name: c.bytes_per_state for c in caches()}["c4"] == 584
    assert kv_bytes("engine.kv_cache_dtype=fp8") == kv_bytes("engine.kv_cache_dtype=fp8_ds_mla")


def test_h6_fp4_entries_save_memory_from_0_27():
    assert [regime(v).fp4_bytes_per_state for v in ("0.20.0", "0.26.0", "0.27.0", "0.33.0")] == [132, 132, 68, 68]


def test_h9_mega_moe_takes_memory_that_grows_with_the_batch():
    mega = ["engine.moe_backend=deep_gemm_mega_moe", "parallel={tensor: 4, expert: true}"]
    small, large = (fitted(*mega, f"engine.max_num_batched_tokens={n}") for n in ("8192", "65536"))
    assert small.available_kv_gib > large.available_kv_gib


def test_h11_more_tensor_ranks_do_not_divide_the_cache():
    assert kv_bytes("parallel.tensor=4") == kv_bytes("parallel.tensor=8")


def test_h13_tensor_and_data_parallel_go_together():
    assert codes("parallel={tensor: 2, data: 4, expert: true}") & {c.code for c in constraints()} == set()


def test_h21_prefix_caching_and_chunked_prefill_are_on_by_default():
    for version in versions():
        for name in ("enable_prefix_caching", "enable_chunked_prefill"):
            # None: decided by the model, which for a generating one is on.
            assert flag_table(version).by_dest[name].default in (None, True)


def test_h26_the_number_of_api_servers_is_left_to_vllm():
    for version in versions():
        assert flag_table(version).by_dest["api_server_count"].default is None
    words = [w for a in resolve(load(BASE, "x.yaml", ["parallel={tensor: 1, data: 8, expert: true}"])).arguments
             for w in a.argv]  # fmt: skip
    assert not any(str(word).startswith("--api-server-count") for word in words)


SILENT = {"H2", "H6", "H9", "H11", "H13", "H21", "H26"}


def test_h3_another_cache_type_needs_the_backend_that_reads_it():
    plain = "engine.kv_cache_dtype=bfloat16"
    backend = "engine.attention_backend=FLASHINFER_MLA_SPARSE_DSV4"
    assert "kv-cache-needs-fp8" in codes(at("0.23.0"), plain)
    assert "kv-cache-needs-fp8" not in codes(at("0.24.0"), plain, backend)
    assert "flag-value" in codes(at("0.22.1"), plain, backend)  # the name came with 0.23.0


def test_h17_auto_is_taken_and_too_long_is_not():
    assert codes("engine.max_model_len=auto", "parallel.tensor=8") & {c.code for c in constraints()} == set()
    assert "context-within-the-model" in codes("engine.max_model_len=2M")


def test_h25_the_vision_checkpoint_is_not_taken_for_the_text_model():
    with pytest.raises(Dsv4Error) as caught:
        resolve(load(BASE, "x.yaml", ["model={repo: deepseek-ai/DeepSeek-V4-Flash-Vision-Exp}"]))
    assert caught.value.problems[0].code == "model"


# --- GPUs that people try ------------------------------------------------------------------------------------------

TAKEN = {"b200": 4, "b300": 4, "gb200": 4, "gb300": 4, "h200": 4, "h100": 4, "h20": 4, "h800": 4, "rtx-pro-6000": 4}
# Refused by name, with why.
REFUSED = {
    "gb10": ("gpu-unsupported", "shares 128 GB"),
    "dgx-station-gb300": ("gpu-unsupported", "DGX Station"),
    "l20": ("gpu-unsupported", "8.9"),
    "rtx-4090": ("gpu-unsupported", "8.9"),
}


@pytest.mark.parametrize("gpu", TAKEN)
def test_a_gpu_that_serves_the_model_is_taken(gpu: str):
    plan = resolve(load(BASE, "x.yaml", [f"gpu={gpu}", f"parallel={{tensor: {TAKEN[gpu]}, expert: true}}"]))
    assert plan.gpus.key == gpu


@pytest.mark.parametrize("gpu", REFUSED)
def test_a_gpu_that_cannot_serve_it_is_refused_by_name_and_reason(gpu: str):
    code, reason = REFUSED[gpu]
    _, problems = examine_config(load(BASE, "x.yaml", [f"gpu={gpu}"]))
    problem = next(p for p in problems if p.code == code)
    assert gpus()[gpu].title in problem.message
    assert reason in problem.message
    assert "b200" in problem.fix


def test_gpus_without_the_memory_or_the_node_are_refused_with_the_numbers():
    assert "layout" in codes("gpu=gh200", "parallel.tensor=4")  # one GPU a node
    plan = resolve(load(BASE, "x.yaml", ["gpu=rtx-5090", "parallel={tensor: 8}"]))
    assert not fit(plan).fits


def test_the_catalogue_has_every_gpu_that_people_try():
    assert {*TAKEN, *REFUSED, "gh200", "rtx-5090"} <= set(gpus())
