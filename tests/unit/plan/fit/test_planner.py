"""The memory planner as a whole: weights, overhead, plans, and what vLLM and published logs say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plan.fit_oracle_cases import asked, judge, predicted

from dsv4_launch.cli.configs import builtins, load_config
from dsv4_launch.config.load import load
from dsv4_launch.plan.fit.memory import overhead, parameters_gib, rest_gib, symmetric_buffer_gib, workspace_gib
from dsv4_launch.plan.fit.planner import answer, doubt, fit, judge_memory, misfit
from dsv4_launch.plan.fit.question import question
from dsv4_launch.plan.resolve import resolve

HERE = Path(__file__).resolve().parents[3]
PUBLISHED = json.loads((HERE / "recorded/memory/published.json").read_text("utf-8"))["rows"]
VERDICTS = sorted((HERE / "deep/verdicts").glob("fit-0*.json"))
CONFIG = 'name: x\nmodel: flash\nvllm: "0.32.0"\ngpu: b200\nparallel: {tensor: 4, expert: true}\n'

# GiB of parameters of one rank, as vLLM 0.32.0 builds the model.
WEIGHTS = [
    ({}, 38.00),
    ({"expert": False, "mega_moe": False}, 37.24),
    ({"tensor": 8}, 20.12),
    ({"tensor": 8, "expert": False, "mega_moe": False}, 19.23),
    ({"tensor": 1, "data": 4}, 42.50),
    ({"tensor": 1, "data": 8}, 25.37),
    ({"tensor": 4, "data": 2}, 20.87),
    ({"tensor": 2, "data": 4}, 22.37),
    ({"tensor": 2}, 73.77),
    ({"tensor": 1, "expert": False, "mega_moe": False}, 145.29),
]
DRAFTS = [
    ({"tensor": 4}, 0.886, 2.740),
    ({"tensor": 8}, 0.476, 1.509),
    ({"tensor": 1, "data": 4}, 0.956, 2.951),
    ({"tensor": 1, "data": 8}, 0.558, 1.755),
    ({"tensor": 2}, 1.706, 5.201),
    ({"tensor": 1}, 3.347, 10.123),
]


@pytest.mark.parametrize(("layout", "gib"), WEIGHTS)
def test_weights_of_a_rank(layout: dict, gib: float):
    assert parameters_gib(asked("0.32.0", **layout)) == pytest.approx(gib, abs=0.01)


@pytest.mark.parametrize(("layout", "mtp", "dspark"), DRAFTS)
def test_weights_of_the_draft_module(layout: dict, mtp: float, dspark: float):
    without = parameters_gib(asked("0.32.0", **layout))
    for draft, gib in (("mtp", mtp), ("dspark", dspark)):
        assert parameters_gib(asked("0.32.0", draft=draft, **layout)) - without == pytest.approx(gib, abs=0.01)


def test_the_shared_expert_is_split_before_layers_ran_sequence_parallel():
    old, new = (parameters_gib(asked(vllm)) for vllm in ("0.26.0", "0.27.0"))
    assert new - old == pytest.approx(1.008 * 3 / 4)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row['source'].rpartition('/')[2]} {row['quantity']}")
def test_published_figures(row: dict):
    ours, theirs = predicted(row), row["published"]
    if row["kind"] == "integer" and row["quantity"] == "tokens":
        assert ours == theirs
    elif row["kind"] == "not settled":
        assert ours > theirs, "that run used less memory than the settings say"
    elif row["kind"] == "rounded":
        assert abs(ours - theirs) < 1
    else:
        assert ours == pytest.approx(theirs, rel=0.0035)


def test_every_published_figure_names_its_page():
    assert all(row["source"].startswith("https://") for row in PUBLISHED)


@pytest.mark.parametrize("path", VERDICTS, ids=lambda path: path.stem)
def test_vllms_own_planner_agrees(path: Path):
    recorded = json.loads(path.read_text("utf-8"))
    cases = sum(len(verdict["cases"]) for verdict in recorded["verdicts"])
    assert cases >= 300
    assert [problem for verdict in recorded["verdicts"] for problem in judge(recorded["vllm"], verdict)] == []


RELEASES = json.loads((HERE / "deep/verdicts/fit-releases.json").read_text("utf-8"))["releases"]


@pytest.mark.parametrize("recorded", RELEASES, ids=lambda recorded: recorded["vllm"])
def test_the_planner_code_of_each_release_agrees(recorded: dict):
    assert sum(len(verdict["cases"]) for verdict in recorded["verdicts"]) >= 36
    assert [problem for verdict in recorded["verdicts"] for problem in judge(recorded["vllm"], verdict)] == []


def test_verdicts_were_recorded():
    assert VERDICTS


def test_a_wrong_verdict_would_be_found():
    verdict = json.loads(VERDICTS[0].read_text("utf-8"))["verdicts"][0]
    case = next(c for c in verdict["cases"] if not c["refused"])
    for name in ("num_blocks", "bytes_per_block", "tokens", "resolved"):
        assert judge("0.32.0", {**verdict, "cases": [{**case, name: case[name] + 1}]})
    assert judge("0.32.0", {**verdict, "cases": [{**case, "refused": True, "longest": 1}]})


@pytest.mark.parametrize("name", sorted(set(builtins()) - {"rehearsal-cpu"}))
def test_every_built_in_config_fits_with_its_full_context(name: str):
    plan = resolve(load_config(name))
    found = fit(plan)
    assert found is not None
    assert found.max_model_len == 1048576
    assert found.low.fits
    assert judge_memory(plan, "") == ([], ())


def test_a_rehearsal_has_no_gpu_memory():
    assert fit(resolve(load_config("rehearsal-cpu"))) is None


def test_what_the_plan_says_reaches_the_planner():
    overrides = (
        "engine.max_num_batched_tokens=4k",
        "engine.max_model_len=64K",
        "engine.indexer_cache_dtype=fp4",
        "engine.moe_backend=deep_gemm_mega_moe",
        "engine.speculative_config={method: mtp, num_speculative_tokens: 1}",
        "engine.async_scheduling=false",
        "engine.gpu_memory_utilization=0.8",
    )
    found = question(resolve(load(CONFIG, "c.yaml", overrides)))
    assert found is not None
    assert (found.max_num_batched_tokens, found.max_model_len, found.memory_utilization) == (4000, 65536, 0.8)
    assert (found.fp4_indexer, found.mega_moe, found.draft, found.asynchronous) == (True, True, "mtp", False)


@pytest.mark.parametrize(("vllm", "tokens"), [("0.25.0", 8192), ("0.27.1", 8192), ("0.28.0", 16384), ("0.32.0", 16384)])
def test_what_is_not_said_is_the_servers_default(vllm: str, tokens: int):
    found = question(resolve(load(CONFIG, "c.yaml", [f"vllm='{vllm}'"])))
    assert found is not None
    assert (found.max_num_batched_tokens, found.max_num_seqs, found.max_model_len) == (tokens, 1024, 1048576)


def test_the_fp4_indexer_is_known_by_both_its_names():
    for vllm in ("0.20.0", "0.32.0"):
        found = question(resolve(load(CONFIG, "c.yaml", [f"vllm='{vllm}'", "engine.indexer_cache_dtype=fp4"])))
        assert found is not None
        assert found.fp4_indexer


def test_measured_memory_replaces_the_span():
    plan = resolve(load_config("flash-b200-dp8"))
    found = fit(plan, available_kv_gib=134.206)
    assert found is not None
    assert found.measured
    assert found.low == found.high
    assert found.max_concurrency == pytest.approx(19.62, abs=0.005)
    assert found.sums.max_concurrency == pytest.approx(156.9, abs=0.05)
    assert found.overhead_gib.low == found.overhead_gib.high


def test_data_parallel_holds_7_7_times_the_kv_of_tensor_parallel():
    # https://github.com/vllm-project/vllm/issues/51454
    common = {"fp4_indexer": False, "memory_utilization": 0.95}
    dp8, tp8 = (answer(asked("0.25.0", tensor=t, data=d, **common)) for t, d in ((1, 8), (8, 1)))
    assert dp8.sums.max_concurrency / tp8.sums.max_concurrency == pytest.approx(7.7, abs=0.05)


@pytest.mark.parametrize(
    ("vllm", "tensor", "tokens", "gib"),
    [("0.28.0", 4, 2048, 0.70), ("0.28.0", 4, 8192, 2.30), ("0.28.0", 8, 16384, 7.82), ("0.28.0", 8, 65536, 30.9),
     ("0.29.0", 4, 8192, 0.59), ("0.29.0", 8, 65536, 3.8)],
)  # fmt: skip
def test_symmetric_buffer(vllm: str, tensor: int, tokens: int, gib: float):
    assert symmetric_buffer_gib(asked(vllm, tensor=tensor, max_num_batched_tokens=tokens)) == pytest.approx(gib)


def test_workspace():
    assert workspace_gib(asked("0.31.0", fp4_indexer=False)) == pytest.approx(1.29, abs=0.005)
    assert workspace_gib(asked("0.32.0", fp4_indexer=False)) == pytest.approx(1.03, abs=0.005)
    assert workspace_gib(asked("0.31.0")) == pytest.approx(1.03, abs=0.005)


def test_the_span_is_never_hidden():
    found = answer(asked("0.32.0"))
    assert found.low.available_kv_gib < found.available_kv_gib < found.high.available_kv_gib
    assert [part.how for part in found.overhead_gib.parts].count("fitted") == 1
    assert rest_gib(asked("0.32.0", max_num_batched_tokens=65536)).high - rest_gib(
        asked("0.32.0", max_num_batched_tokens=65536)
    ).low > 3 * (rest_gib(asked("0.32.0")).high - rest_gib(asked("0.32.0")).low)


def test_a_certain_misfit_names_the_longest_that_fits():
    tight = asked("0.32.0", tensor=1, expert=False, mega_moe=False, memory_utilization=0.88)
    found = answer(tight)
    problem = misfit(tight, found, "c.yaml:3")
    assert problem is not None
    assert (problem.code, problem.where) == ("memory", "c.yaml:3")
    assert f"{found.high.longest:,}" in problem.message
    shorter = replace(tight, max_model_len=found.high.longest)
    assert misfit(shorter, answer(shorter)) is None
    assert doubt(answer(shorter)) is not None, "only the best case holds it"


def test_no_memory_at_all_is_told_as_such():
    hopeless = asked("0.32.0", tensor=1, expert=False, mega_moe=False, memory_utilization=0.5)
    problem = misfit(hopeless, answer(hopeless))
    assert problem is not None
    assert "leave no memory" in problem.message


@given(st.sampled_from([0.5, 0.7, 0.8, 0.9]), st.floats(0.001, 0.09), st.sampled_from([1, 2, 4, 8]))
def test_a_larger_share_never_holds_less(share: float, more: float, tensor: int):
    small, large = (answer(asked("0.32.0", tensor=tensor, memory_utilization=s)) for s in (share, share + more))
    assert small.num_blocks <= large.num_blocks
    assert small.low.longest <= large.low.longest


@given(st.integers(256, 100_000), st.sampled_from(["0.20.0", "0.28.0", "0.32.0"]))
def test_overhead_is_an_interval_of_its_parts(tokens: int, vllm: str):
    found = overhead(asked(vllm, max_num_batched_tokens=tokens))
    assert 0 <= found.low <= found.high
    assert found.low == pytest.approx(sum(part.gib.low for part in found.parts))
