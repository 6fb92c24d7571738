"""Comparisons: which way is worse, how sure that is, what a gate says, and which runs must not be compared."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.bench.runs import LEVELS, raw, run, series

from dsv4_launch.bench.comparability import differences, same_hardware
from dsv4_launch.bench.compare import Delta, compare
from dsv4_launch.bench.draw.rows import rows
from dsv4_launch.bench.gates import parse_gate
from dsv4_launch.bench.interval import t_quantile, welch
from dsv4_launch.bench.metrics import METRICS
from dsv4_launch.bench.published import keys, published
from dsv4_launch.bench.results import Fingerprint, GpuPrint, Workload
from dsv4_launch.errors import UsageError

# Two-sided 95 % and 99 %, from the tables of any textbook.
TABLE = {(1, 0.975): 12.706, (2, 0.975): 4.303, (4, 0.975): 2.776, (10, 0.975): 2.228, (30, 0.995): 2.750}


@pytest.mark.parametrize(("freedom", "probability"), TABLE)
def test_quantiles_are_those_of_the_tables(freedom: int, probability: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(TABLE[freedom, probability], abs=6e-4)


def test_the_interval_is_welchs() -> None:
    # Worked by hand: means 10 and 12, variances 1 and 4, three each: error sqrt(5/3), freedom (5/3)^2/(1/18 + 16/18).
    found = welch([9, 10, 11], [10, 12, 14])
    freedom = (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    reach = t_quantile(0.975, freedom) * math.sqrt(5 / 3)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((2 - reach, 2 + reach))
    assert found.has_zero


def test_one_repeat_has_no_interval() -> None:
    assert welch([1.0], [2.0, 3.0]) is None


@settings(deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=6), st.lists(st.floats(1, 1e6), min_size=2, max_size=6))
def test_an_interval_turned_round_is_its_negative(a: list[float], b: list[float]) -> None:
    one, other = welch(a, b), welch(b, a)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), rel=1e-6, abs=1e-6)


def deltas(before: float, after: float, repeats: int = 3) -> dict[tuple[str, int], Delta]:
    found = compare(series(factor=before, repeats=repeats), series(factor=after, repeats=repeats))
    return {(delta.metric, delta.concurrency): delta for delta in found.deltas}


def test_slower_is_worse_in_both_directions() -> None:
    slower = deltas(1.0, 1.5)
    for level in LEVELS:
        assert slower["ttft_p50", level].verdict == "worse"
        assert slower["ttft_p50", level].percent == pytest.approx(50)
        assert slower["output_throughput", level].verdict == "worse"
        assert slower["output_throughput", level].after < slower["output_throughput", level].before
    assert deltas(1.5, 1.0)["output_throughput", 8].verdict == "better"


def test_a_small_change_is_noise_and_one_repeat_has_no_confidence() -> None:
    assert deltas(1.0, 1.002)["itl_p50", 4].verdict == "within noise"
    alone = compare(series(), series(factor=2))
    assert {delta.verdict for delta in alone.deltas} <= {"no confidence", "equal"}
    assert any("no confidence" in note for note in alone.notes)


def test_levels_of_one_run_only_are_said() -> None:
    found = compare(series(levels=(1, 2)), series("two", levels=(2, 4)))
    assert {delta.concurrency for delta in found.deltas} == {2}
    assert {"Only one has concurrency 1.", "Only two has concurrency 4."} <= set(found.notes)
    assert "nothing was compared" in compare(series(levels=(1,)), series(levels=(2,))).notes[2]


# --- gates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "factor", "levels"),
    [
        ("ttft_p95>+5%", 1.04, []),
        ("ttft_p95>+5%", 1.06, list(LEVELS)),
        ("ttft_p95 > +5% @ 8", 1.06, [8]),
        ("ttft_p95>+5%@2..8", 1.06, [2, 4, 8]),
        ("output_throughput<-10%", 1.06, []),
        ("output_throughput<-10%", 1.2, list(LEVELS)),
        ("itl_p50>+1ms", 1.1, [8, 16]),
        ("itl_p50>10.05ms", 1.0, [8, 16]),
        ("error_rate>0.01", 1.0, []),
    ],
)
def test_a_gate_is_crossed_where_it_says(text: str, factor: float, levels: list[int]) -> None:
    found = compare(series(repeats=2), series(repeats=2, factor=factor), [parse_gate(text)])
    assert [one.concurrency for one in found.crossed] == levels
    assert all(one.metric in one.why and str(one.concurrency) in one.why for one in found.crossed)


def test_a_gate_says_whether_the_repeats_make_it_sure() -> None:
    (gate,) = [parse_gate("itl_p50>+5%@4")]
    (barely,) = compare(series(repeats=3), series(repeats=3, factor=1.051), [gate]).crossed
    (clearly,) = compare(series(repeats=3), series(repeats=3, factor=1.5), [gate]).crossed
    (unknown,) = compare(series(), series(factor=1.5), [gate]).crossed
    assert (barely.sure, clearly.sure, unknown.sure) == (False, True, None)


def test_a_failed_point_crosses_every_gate_that_looks_at_it() -> None:
    found = compare(series(), series(failed=(8,)), [parse_gate("ttft_p50>+50%")])
    assert [(one.concurrency, one.why) for one in found.crossed] == [
        (8, "The point at concurrency 8 failed: The server died.")
    ]


def test_a_gate_that_could_hold_nothing_is_not_passed() -> None:
    without = {f"c{level:04d}-r1": raw(level) for level in LEVELS}
    for data in without.values():
        del data["request_goodput"]
    found = compare(series(raws=without), series(raws=without), [parse_gate("goodput<1"), parse_gate("itl_p50>+9%@99")])
    assert [one.why for one in found.crossed] == ["No point has what it needs."] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("ttft_p95", "no '<' or '>'"),
        ("ttft_p96>+5%", "'ttft_p96' is no metric; 'ttft_p9"),
        ("ttft_p95>=+5%", "'<=' and '>=' are not known"),
        ("ttft_p95>5%", "a percentage is a change: write >+5% or >-5%"),
        ("ttft_p95>+5s", "has no unit 's': it is 'ms' or '%'"),
        ("error_rate>1ms", "has no unit 'ms'"),
        ("ttft_p95>", "it has no bound"),
        (">5", "it names no metric"),
        ("ttft_p95>+5%@9..3", "no concurrency is in 9..3"),
        ("ttft_p95>+5%@x", "'+5%@x' is no bound"),
        ("ttft_p95>nan", "'nan' is no bound"),
        ("rm -rf>1", "'rm -rf' is no metric's name"),
    ],
)
def test_a_bad_gate_is_told_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(UsageError) as found:
        parse_gate(text)
    assert said in str(found.value)


@given(
    st.sampled_from(sorted(METRICS)), st.sampled_from("<>"), st.integers(0, 999), st.integers(1, 99), st.integers(0, 9)
)
def test_any_gate_that_the_grammar_allows_is_read(key: str, op: str, bound: int, low: int, more: int) -> None:
    unit = METRICS[key].unit
    for sign, end in itertools.product(("", "+", "-"), ("", unit)):
        gate = parse_gate(f"{key}{op}{sign}{bound}{end}@{low}..{low + more}")
        assert (gate.metric.key, gate.over, gate.low, gate.high) == (key, op == ">", low, low + more)
        assert gate.bound == (-bound if sign == "-" else bound)
        assert gate.kind == ("change" if sign else "value")


# --- what may be compared ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "what", "breaks"),
    [
        ({"workload": Workload(input_len=8192, total_tokens=1000)}, "workload.input_len", True),
        ({"workload": Workload(thinking=True, total_tokens=1000)}, "workload.thinking", True),
        ({"model": "other"}, "model", True),
        ({"fingerprint": Fingerprint(vllm="0.33.0")}, "vLLM", False),
        ({"fingerprint": Fingerprint(gpus=(GpuPrint(index=0, name="H200"),))}, "GPUs", False),
    ],
)
def test_what_differs_is_told_and_what_breaks_comes_first(changed: dict[str, Any], what: str, breaks: bool) -> None:
    found = differences(run(), run(**changed))
    assert (found[0].what, found[0].breaks) == (what, breaks)


def test_equal_runs_and_unknown_facts_differ_in_nothing() -> None:
    assert differences(run(), run("two")) == []
    assert [one.what for one in differences(run(), run(fingerprint=Fingerprint()))] == []
    one, other = (run(fingerprint=Fingerprint(client="image x", client_vllm=told)) for told in ("", "0.32.0"))
    assert differences(one, other) == []
    assert same_hardware(run(), run(fingerprint=Fingerprint()))
    assert not same_hardware(run(), run(fingerprint=Fingerprint(gpus=(GpuPrint(index=0, name="H200"),))))


# --- published figures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", keys())
def test_published_figures_are_marked_as_theirs_and_have_a_source(key: str) -> None:
    found = published(key)
    assert found.kind == "reference"
    assert found.label.endswith("(theirs)")
    assert found.source.startswith("https://")
    drawn = rows([found])
    assert all(row["output_throughput"] > 0 and row["status"] == "ok" for row in drawn)
    assert not any("ideal" in row for row in drawn)


def test_an_unknown_reference_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError) as found:
        published("jasl-b200")
    assert all(key in found.value.problems[0].fix for key in keys())
