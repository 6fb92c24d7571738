"""The KV cache planner: pages, groups, regimes, and laws that hold for every layout."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plan.fit_oracle_cases import asked

from dsv4_launch.catalog.memory import caches, compress_ratios, regime
from dsv4_launch.catalog.releases import releases
from dsv4_launch.plan.fit.kv_cache import (
    batches_in_flight,
    blocks_of_request,
    bytes_of_request,
    bytes_per_block,
    capacity,
    groups,
    longest_request,
    page_bytes,
    stage_of_layers,
)
from dsv4_launch.plan.fit.types import GIB

RELEASES = tuple(releases())
MILLION = 1048576


def test_layers_are_those_of_the_checkpoint():
    ratios = compress_ratios()
    assert len(ratios) == 43
    assert [ratios.count(n) for n in (0, 4, 128)] == [2, 21, 20]


@pytest.mark.parametrize(
    ("name", "page"),
    [("sliding", 37440), ("c4", 37440), ("c128", 1728), ("c4_state", 32832), ("c4_indexer_state", 8640),
     ("c128_state", 32832), ("indexer", 8640)],
)  # fmt: skip
def test_page_of_a_layer(name: str, page: int):
    cache = next(c for c in caches() if c.name == name)
    assert page_bytes(cache, regime("0.32.0"), False, False) == page


def test_page_of_the_fp4_indexer_shrinks_from_0_27():
    indexer = next(c for c in caches() if c.name == "indexer")
    assert page_bytes(indexer, regime("0.26.0"), True, False) == 8640
    assert page_bytes(indexer, regime("0.27.0"), True, False) == 4608


@pytest.mark.parametrize(
    ("draft", "fp4", "expected"),
    [
        ("", False, [1002240, 823680, 786240, 870912, 656640]),
        ("", True, [917568, 823680, 786240, 870912, 656640]),
        ("mtp", True, [917568, 823680, 823680, 870912, 656640]),
        ("dspark", False, [1002240, 861120, 861120, 870912, 656640]),
    ],
)
def test_bytes_of_the_groups(draft: str, fp4: bool, expected: list[int]):
    found = groups("0.32.0", fp4, draft, 1, False)
    assert sorted(g.bytes_at(0) for g in found) == sorted(expected)
    assert found[0].window == 0, "the group that keeps every token is first"


@pytest.mark.parametrize(
    ("vllm", "fp8", "fp4", "dspark"),
    [
        ("0.20.0", 1051776, 1051776, 1099584),
        ("0.20.1", 1051776, 1051776, 1099584),
        ("0.22.1", 1051776, 1051776, 1099584),
        ("0.23.0", 1039680, 1039680, 1077120),
        ("0.25.1", 1039680, 1039680, 1077120),
        ("0.26.0", 1039680, 1039680, 1077120),
        ("0.27.0", 1002240, 917568, 1002240),
        ("0.28.0", 1002240, 917568, 1002240),
        ("0.29.0", 1002240, 917568, 1002240),
        ("0.32.0", 1002240, 917568, 1002240),
    ],
)
def test_bytes_of_a_block_by_release(vllm: str, fp8: int, fp4: int, dspark: int):
    assert bytes_per_block(asked(vllm, fp4_indexer=False)) == fp8
    assert bytes_per_block(asked(vllm, fp4_indexer=True)) == fp4
    assert bytes_per_block(asked(vllm, fp4_indexer=False, draft="dspark")) == dspark


@pytest.mark.parametrize(
    ("vllm", "name"),
    [("0.20.0", "A"), ("0.20.1", "B"), ("0.22.1", "B"), ("0.23.0", "C"), ("0.25.1", "C"), ("0.26.0", "D"),
     ("0.27.1", "E"), ("0.28.0", "E"), ("0.29.0", "F"), ("0.33.0", "F")],
)  # fmt: skip
def test_regime_of_a_release(vllm: str, name: str):
    assert regime(vllm).name == name


def test_every_release_has_exactly_one_regime():
    from dsv4_launch.catalog.read import table
    from dsv4_launch.catalog.version import within

    for vllm in RELEASES:
        assert sum(within(vllm, row["vllm"]) for row in table("memory")["regime"]) == 1, vllm


@pytest.mark.parametrize(
    ("vllm", "changes", "batches"),
    [
        ("0.25.1", {}, 1),
        ("0.26.0", {}, 2),
        ("0.26.0", {"asynchronous": False}, 1),
        ("0.26.0", {"pipeline": 2}, 2),
        ("0.26.0", {"pipeline": 2, "draft": "dspark"}, 3),
        ("0.28.0", {"pipeline": 2}, 3),
        ("0.32.0", {"pipeline": 4, "asynchronous": False}, 4),
    ],
)
def test_batches_in_flight(vllm: str, changes: dict, batches: int):
    assert batches_in_flight(asked(vllm, **changes)) == batches


def test_blocks_of_a_request_are_the_closed_formula():
    question = asked("0.32.0")
    assert sorted(blocks_of_request(question, MILLION)) == sorted([4096, 259, 259, 4099, 2065])


def test_need_of_a_request_as_published_for_0_22():
    # https://github.com/vllm-project/vllm/issues/44376: "(6.66 GiB KV cache is needed"
    question = asked("0.22.0", fp4_indexer=False, max_num_batched_tokens=16384)
    assert bytes_of_request(question, 30000) / GIB == pytest.approx(6.66, abs=0.005)


def test_0_20_0_logs_tokens_that_are_no_capacity():
    old, new = (capacity(asked(v), (100 * GIB,)) for v in ("0.20.0", "0.20.1"))
    assert old.num_blocks == new.num_blocks
    assert old.tokens == old.num_blocks // 5 * 4
    assert new.tokens == int(new.max_concurrency * MILLION)


def test_more_blocks_reach_the_front_stages_first():
    assert [stage_of_layers(43, 4).count(n) for n in range(4)] == [11, 11, 11, 10]
    assert [stage_of_layers(43, 2).count(n) for n in range(2)] == [22, 21]


# What vLLM 0.32.0's own KV cache manager admitted: prompts one by one, no prefix cache.
@pytest.mark.parametrize(
    ("length", "blocks", "admitted"),
    [(33792, 13270, 41), (131072, 161609, 288), (MILLION, 161609, 39), (8192, 20000, 287)],
)
def test_resident_requests_as_vllm_admitted_them(length: int, blocks: int, admitted: int):
    question = asked("0.32.0", max_model_len=length)
    found = capacity(question, (blocks * bytes_per_block(question),)).resident_concurrency
    assert admitted * 0.94 <= found <= admitted


def test_an_override_of_the_blocks_decides():
    question = asked("0.32.0", blocks_override=50_000)
    assert capacity(question, (GIB,)).num_blocks == 50_000
    assert capacity(question, (GIB,)).fits


layouts = st.builds(
    asked,
    st.sampled_from(RELEASES),
    tensor=st.sampled_from([1, 2, 4, 8]),
    data=st.sampled_from([1, 2, 8]),
    pipeline=st.sampled_from([1, 2, 4]),
    draft=st.sampled_from(["", "mtp", "dspark"]),
    fp4_indexer=st.booleans(),
    asynchronous=st.booleans(),
    max_num_batched_tokens=st.integers(256, 70_000),
    max_model_len=st.integers(1, MILLION),
)


@given(layouts, st.integers(0, 140 * GIB), st.integers(0, 20 * GIB))
def test_more_memory_never_holds_less(question, available, more):
    small, large = (capacity(question, (a,) * question.pipeline) for a in (available, available + more))
    for name in ("num_blocks", "tokens", "max_concurrency", "resident_concurrency", "longest"):
        assert getattr(small, name) <= getattr(large, name), name


@given(layouts, st.integers(1, 50_000))
def test_more_batched_tokens_never_hold_more(question, more):
    larger = replace(question, max_num_batched_tokens=question.max_num_batched_tokens + more)
    given_ = (60 * GIB,) * question.pipeline
    few, many = capacity(question, given_), capacity(larger, given_)
    assert many.longest <= few.longest
    assert many.max_concurrency <= few.max_concurrency
    assert many.resident_concurrency <= few.resident_concurrency


@given(layouts, st.integers(GIB, 40 * GIB))
def test_the_longest_fits_and_one_more_does_not(question, available):
    given_ = (available,) * question.pipeline
    longest = longest_request(question, given_, MILLION)
    for length, expected in ((longest, True), (longest + 1, False)):
        if 0 < length <= MILLION:
            needs = [bytes_of_request(question, length, stage) <= available for stage in range(question.pipeline)]
            assert all(needs) == expected


@given(layouts, st.integers(GIB, 40 * GIB))
def test_auto_serves_the_longest(question, available):
    found = capacity(replace(question, max_model_len=0), (available,) * question.pipeline)
    assert found.max_model_len == found.longest
    assert found.fits == (found.longest > 0)
