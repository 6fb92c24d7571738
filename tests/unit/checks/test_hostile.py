"""A facts file with nonsense at any one place is refused with the path, or judged without a fault of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from checks import good_host
from checks.plans import PLANS, REFERENCE
from dsv4_launch.checks.examine import Status, examine
from dsv4_launch.errors import InputError
from dsv4_launch.facts import HostFacts

BASE: dict[str, Any] = json.loads(good_host().to_json())
NONSENSE: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**62, 2**70, 1e308),
    *("", "x" * 4000, "x" * 10_000, "\x1b[31m\u202e", "9" * 4000, "1.2.3", "/"),
    *([], {}, ["x"], {"x": None}),
)


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data[:1]) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


@settings(deadline=None)
@given(st.sampled_from(list(places(BASE))), st.sampled_from(NONSENSE), st.sampled_from([REFERENCE, PLANS["native"]]))
def test_nonsense_at_one_place(path: tuple[str | int, ...], value: Any, plan: Any) -> None:
    data: Any = copy.deepcopy(BASE)
    holder = data
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    facts = read(json.dumps(data))
    if isinstance(facts, HostFacts):
        results = examine(plan, facts)
        assert {result.status for result in results} <= set(get_args(Status))
        assert all(len(result.message) < 20_000 for result in results)
    else:
        assert {problem.where.partition(":")[0] for problem in facts.problems} == {"f.json"}


def read(text: str) -> HostFacts | InputError:
    try:
        return HostFacts.from_json(text, "f.json")
    except InputError as error:
        return error
