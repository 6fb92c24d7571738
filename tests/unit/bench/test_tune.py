"""What is tried, and which one wins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.bench.point import Latency, Point
from dsv4_launch.bench.results import Slo
from dsv4_launch.bench.tune import (
    Best,
    Candidate,
    Scored,
    Tune,
    candidates,
    dump_tune,
    pareto,
    parse_tune,
    score,
    winner,
)
from dsv4_launch.errors import InputError, UsageError


def point(concurrency: int, total: float, tpot: float, *, ttft: float = 100.0, failed: int = 0) -> Point:
    return Point(
        f"c{concurrency:04d}-r1", concurrency, 1, 10, failed, 1.0, 10, 100, 10, 10, 100, total,
        Latency(ttft, ttft), Latency(tpot, tpot),
    )  # fmt: skip


A = Scored(Candidate(key="t01", overrides=("engine.a=1",), gpus=4), (point(1, 400, 5), point(8, 2000, 10)))
B = Scored(Candidate(key="t02", overrides=("engine.a=2",), gpus=8), (point(1, 900, 4), point(8, 3600, 9, ttft=900)))


def test_every_combination_is_tried() -> None:
    found = candidates(["max_num_batched_tokens=8192,16384", "parallel={tensor: 4, expert: true},{data: 8}"])
    assert [c.key for c in found] == ["t01", "t02", "t03", "t04"]
    assert found[0].overrides == ("engine.max_num_batched_tokens=8192", "parallel={tensor: 4, expert: true}")
    assert found[3].overrides == ("engine.max_num_batched_tokens=16384", "parallel={data: 8}")


def test_dotted_names_keep_their_table() -> None:
    words = candidates(["parallel.tensor=4", "compilation_config.mode=3", "engine.block_size=64"])[0].overrides
    assert words == ("parallel.tensor=4", "engine.compilation_config.mode=3", "engine.block_size=64")


@pytest.mark.parametrize("axes", [[], ["a"], ["a="], ["=1"], ["a=1,,2"], ["a=1", "a=2"], ["a=" + ",".join("1" * 65)]])
def test_what_names_no_values_is_refused(axes: list[str]) -> None:
    with pytest.raises(UsageError):
        candidates(axes)


def test_a_point_is_scored_for_each_gpu_and_each_user() -> None:
    best = score(A)[1]
    assert (best.per_gpu, best.user, best.ttft_ms) == (500, 100, 100)


def test_the_most_tokens_for_a_gpu_win_within_the_slo() -> None:
    free = winner([A, B], Slo())
    assert free is not None
    assert (free.key, free.concurrency) == ("t01", 8)
    tight = winner([A, B], Slo(tpot_ms=6))
    assert tight is not None
    assert (tight.key, tight.concurrency) == ("t02", 1)
    assert winner([A, B], Slo(ttft_ms=1)) is None
    assert winner([Scored(A.candidate, (point(1, 5, 5, failed=1),))], Slo()) is None
    assert winner([], Slo()) is None


bests = st.builds(
    Best,
    key=st.just("t01"),
    concurrency=st.integers(1, 64),
    total_throughput=st.just(1.0),
    per_gpu=st.floats(1, 1000),
    user=st.floats(1, 1000),
    ttft_ms=st.just(1.0),
)


@given(st.lists(bests, max_size=20))
def test_the_pareto_set_holds_what_nothing_beats(found: list[Best]) -> None:
    front = pareto(found)
    for best in found:
        beaten = any(
            other.per_gpu >= best.per_gpu and other.user >= best.user and other != best for other in found
        ) and not any((f.per_gpu, f.user) == (best.per_gpu, best.user) for f in front)
        assert beaten or any((f.per_gpu, f.user) == (best.per_gpu, best.user) for f in front)
    users = [best.user for best in front]
    assert users == sorted(users)


def test_the_document_comes_back() -> None:
    tune = Tune(
        created="now", dsv4="0.1.0", config="a: 1", axes=("a=1",), candidates=(A.candidate,), winner=score(A)[0]
    )
    assert parse_tune(dump_tune(tune), "x") == tune
    with pytest.raises(InputError):
        parse_tune(dump_tune(tune)[:-30], "x")
    with pytest.raises(InputError, match="another version"):
        parse_tune('{"version": 2}', "x")
    with pytest.raises(InputError):
        parse_tune('{"version": 1}', "x")
