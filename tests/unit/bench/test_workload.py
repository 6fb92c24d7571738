"""A sweep's points: the token volume is kept, every point has its own seed, and nonsense is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.bench.results import Method, Workload
from dsv4_launch.bench.workload import CONCURRENCIES, TOTAL_TOKENS, num_prompts, parse_concurrencies, plan_points
from dsv4_launch.errors import UsageError

FIXED = Workload(total_tokens=TOTAL_TOKENS)


def test_a_fixed_volume_sends_the_same_requests_at_each_concurrency() -> None:
    points = plan_points(FIXED, Method(), CONCURRENCIES)
    assert {point.num_prompts for point in points} == {1024}
    assert [point.warmups for point in points] == [2 * concurrency for concurrency in CONCURRENCIES]


def test_the_other_convention_sends_ten_for_each_one_in_flight() -> None:
    workload = Workload(requests_per_concurrency=10)
    assert [point.num_prompts for point in plan_points(workload, Method(), (1, 64))] == [10, 640]


@given(st.integers(1, 10**9), st.integers(1, 200_000), st.integers(1, 4096), st.integers(1, 4096))
def test_the_volume_is_reached_and_every_concurrency_can_be(total: int, ins: int, outs: int, concurrency: int) -> None:
    found = num_prompts(Workload(total_tokens=total, input_len=ins, output_len=outs), concurrency)
    assert found >= concurrency
    assert found * (ins + outs) >= total
    assert found == concurrency or (found - 1) * (ins + outs) < total


@given(st.lists(st.integers(1, 2048), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 1000))
def test_no_two_points_share_a_key_or_a_seed(concurrencies: list[int], repeats: int, seed: int) -> None:
    points = plan_points(FIXED.model_copy(update={"seed": seed}), Method(repeats=repeats), concurrencies)
    assert len({point.key for point in points}) == len(points) == len(set(concurrencies)) * repeats
    assert len({point.seed for point in points}) == len(points)
    assert all(0 <= point.seed < 2**32 for point in points)


def test_each_round_goes_through_all_concurrencies() -> None:
    points = plan_points(FIXED, Method(repeats=2), (4, 1))
    assert [point.key for point in points] == ["c0001-r1", "c0004-r1", "c0001-r2", "c0004-r2"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,2,4", (1, 2, 4)),
        ("8", (8,)),
        ("1..1024", CONCURRENCIES),
        ("4, 1..3,4", (1, 2, 3, 4)),
        ("3..20", (3, 6, 12, 20)),
    ],
)
def test_concurrencies_are_a_list_or_doubled(text: str, found: tuple[int, ...]) -> None:
    assert parse_concurrencies(text) == found


@pytest.mark.parametrize("text", ["", ",", "0", "x", "1..", "..4", "8..2", "-1", "1..0", "99999999", "٣", "1.5"])
def test_what_is_no_concurrency_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_concurrencies(text)


def test_a_point_of_ten_million_requests_is_refused() -> None:
    with pytest.raises(UsageError, match="would send"):
        plan_points(Workload(requests_per_concurrency=2000), Method(), (65_536,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8..1", "begins above its end"),
        ("1..99999999", "from 1 to"),
        ("9" * 5000, "from 1 to"),
        ("0..4", "from 1 to"),
        ("1..", "no range"),
        ("many", "no number"),
    ],
)
def test_why_a_concurrency_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_concurrencies(text)
