"""Reading startup logs, sweeping over layouts, ceilings, and recommending."""

from __future__ import annotations

import pytest
from tests.unit.plan.fit_oracle_cases import asked

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.models import variants
from dsv4_launch.errors import UsageError
from dsv4_launch.plan.fit.recommend import recommend
from dsv4_launch.plan.fit.roofline import ceiling
from dsv4_launch.plan.fit.startup_log import Logged, read_log
from dsv4_launch.plan.fit.sweep import parallel, sweep

# The messages of vLLM 0.25.0 (gpu_worker.py, gpu_model_runner.py, kv_cache_utils.py) with the figures of
# https://github.com/vllm-project/vllm/issues/51454 ; two ranks.
OLD = """
(Worker_TP0 pid=9) INFO 07-31 [gpu_model_runner.py:5212] Model loading took 20.62 GiB memory and 61.1 seconds
(Worker_TP1 pid=8) INFO 07-31 [gpu_model_runner.py:5212] Model loading took 20.60 GiB memory and 61.0 seconds
(Worker_TP0 pid=9) INFO 07-31 [gpu_worker.py:561] Available KV cache memory: 139.74 GiB
(Worker_TP1 pid=8) INFO 07-31 [gpu_worker.py:561] Available KV cache memory: 139.91 GiB
(EngineCore pid=7) INFO 07-31 [kv_cache_utils.py:2177] GPU KV cache size: 21,419,891 tokens
(EngineCore pid=7) INFO 07-31 [kv_cache_utils.py:2178] Maximum concurrency for 1,048,576 tokens per request: 20.43x
"""
NEW = "GPU KV cache size: 8,204,081 tokens, Maximum concurrency for 1,048,576 tokens per request: 7.82x"


def test_an_old_log():
    assert read_log(OLD.splitlines()) == Logged(20.62, 139.74, 21419891, 1048576, 20.43)


def test_a_new_log_has_both_on_one_line():
    found = read_log([NEW])
    assert (found.tokens, found.max_model_len, found.max_concurrency) == (8204081, 1048576, 7.82)


@pytest.mark.parametrize("text", ["", "GiB tokens", "Available KV cache memory: lots GiB", "Model loading took . GiB"])
def test_a_log_that_says_nothing(text: str):
    assert read_log([text]) == Logged()


def test_a_sweep_is_every_combination_in_order():
    rows = sweep(asked("0.32.0"), ["max_num_batched_tokens=4096..16384", "parallel=tp4,dp8"])
    assert [tuple(row.values.values()) for row in rows] == [
        (tokens, layout) for tokens in ("4096", "8192", "16384") for layout in ("tp4", "dp8")
    ]
    assert [row.gpus for row in rows[:2]] == [4, 8]
    assert rows[0].fit.num_blocks > rows[2].fit.num_blocks > rows[4].fit.num_blocks


@pytest.mark.parametrize(
    ("word", "layout"),
    [("tp4", (4, 1, 1)), ("dp8", (1, 8, 1)), ("tp2dp4", (2, 4, 1)), ("dp4tp2", (2, 4, 1)), ("tp4pp2", (4, 1, 2))],
)
def test_words_for_layouts(word: str, layout: tuple):
    found = parallel(asked("0.32.0"), word)
    assert (found.tensor, found.data, found.pipeline) == layout


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["tokens=1"], ["parallel=8"], ["parallel=tp0"], ["parallel="], ["max_model_len=-5"],
     ["max_num_seqs=9..3"], ["gpu_memory_utilization=2"], ["max_model_len=1", "max_model_len=2"],
     ["parallel=tp4tp4"], ["parallel=dp99999"], ["parallel=tp3"],
     ["max_num_batched_tokens=1..99999999999999999999"], ["indexer_cache_dtype=int4"],
     [f"max_num_seqs={','.join(map(str, range(1, 200)))}", f"max_model_len={','.join(map(str, range(1, 200)))}"]],
)  # fmt: skip
def test_sweeps_that_cannot_be(words: list[str]):
    with pytest.raises(UsageError):
        sweep(asked("0.32.0"), words)


def test_a_sweep_over_releases_counts_as_each_does():
    rows = sweep(asked("0.32.0"), ["vllm=0.20.0,0.25.0,0.32.0"])
    assert [row.fit.regime for row in rows] == ["A", "C", "F"]


# B requests in all at a length, on one node: tokens per second and GPU at most.
CEILINGS = [
    (8, 1, 32, 8192, 2396),
    (8, 1, 512, 8192, 17400),
    (4, 1, 512, 8192, 21116),
    (1, 4, 512, 8192, 21990),
    (1, 8, 512, 8192, 18840),
    (1, 8, 2048, 8192, 67903),
    (1, 8, 256, 131072, 9014),
    (1, 8, 64, 1048576, 2461),
]


@pytest.mark.parametrize(("tensor", "data", "requests", "length", "tokens"), CEILINGS)
def test_ceilings(tensor: int, data: int, requests: int, length: int, tokens: int):
    found = ceiling(asked("0.32.0", tensor=tensor, data=data), length, requests)
    assert found is not None
    assert found.tokens_per_s_gpu == pytest.approx(tokens, rel=0.002)


def test_no_ceiling_for_a_gpu_whose_peaks_are_not_known():
    assert ceiling(asked("0.32.0", gpu="h20"), 8192, 8) is None


def choices(**changes):
    values = {"gpus": 8, "context": 131072, "concurrency": 200, "objective": "throughput"} | changes
    return recommend(gpus()["b200"], variants()["flash"], "0.32.0", **values)


def test_every_recommendation_holds_what_was_asked():
    for choice in choices():
        assert choice.expected >= 200
        assert not choice.certain or choice.holds >= 200
        assert choice.gpus <= 8
        assert choice.patch["engine"]["max_num_seqs"] * choice.patch["parallel"]["data"] >= 200


def test_data_parallel_is_first_for_context():
    assert choices(objective="context")[0].layout == "dp8"


def test_latency_takes_the_shortest_step():
    found = [choice for choice in choices(objective="latency") if choice.certain]
    steps = [choice.ceiling.step_ms for choice in found]
    assert steps == sorted(steps)


def test_the_layout_that_was_measured_says_so():
    best = choices(objective="context")[0]
    assert any("7.7 times" in m.what and m.source.startswith("https://") for m in best.measured)


def test_nothing_is_recommended_that_cannot_hold_them():
    assert choices(context=1048576, concurrency=100_000) == []
    assert choices(gpus=1, concurrency=100) == []


def test_a_patch_is_a_config_that_resolves():
    import yaml

    from dsv4_launch.config.load import load
    from dsv4_launch.plan.fit.planner import fit
    from dsv4_launch.plan.resolve import resolve

    for choice in choices():
        text = yaml.safe_dump({"name": "x", "model": "flash", "vllm": "0.32.0", "gpu": "b200", **choice.patch})
        found = fit(resolve(load(text, "c.yaml")))
        assert found is not None
        assert found.max_concurrency == pytest.approx(choice.fit.max_concurrency)
