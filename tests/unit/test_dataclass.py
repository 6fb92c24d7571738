"""Our frozen dataclasses against Python's own: whatever is done with one, both answer alike."""

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field, fields, is_dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dsv4_launch import dataclass as ours


class Empty:
    """No fields."""


class One:
    """One field, which is compared as it is."""

    name: str


class Many:
    """Every kind of field that is used."""

    name: str
    count: int = 2
    words: tuple[str, ...] = ()
    table: dict[str, int] = field(default_factory=dict)
    aside: int = field(default=0, compare=False)
    long: int = field(default=0, repr=False)

    @property
    def twice(self) -> int:
        """A property stays one."""
        return 2 * self.count


class Own:
    """A method that a class has itself stays."""

    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"


def both(cls: type) -> tuple[type, type]:
    made = []
    for decorator in (ours.dataclass, dataclasses.dataclass):
        again = type(cls.__name__, (), {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")})
        made.append(decorator(frozen=True, slots=True)(again))
    return made[0], made[1]


SHAPES = {cls.__name__: both(cls) for cls in (Empty, One, Many, Own)}
# Pickle looks a class up by its name.
Many = SHAPES["Many"][0]  # type: ignore[misc]
VALUES = st.one_of(st.integers(0, 1), st.text(max_size=1), st.tuples(st.integers(0, 1)), st.none())
CALLS = st.tuples(
    st.lists(VALUES, max_size=7),
    st.dictionaries(st.sampled_from([*Many.__match_args__, "other"]), VALUES, max_size=4),
)


def made(cls: type, call: tuple[list, dict]) -> object:
    try:
        return cls(*call[0], **call[1])
    except TypeError:
        return TypeError


@pytest.mark.parametrize("shape", SHAPES)
@given(st.lists(CALLS, min_size=2, max_size=2))
def test_it_is_made_compared_shown_and_hashed_as_pythons_own(shape: str, calls: list) -> None:
    (one, other), (one_std, other_std) = ([made(cls, call) for call in calls] for cls in SHAPES[shape])
    assert (one is TypeError) == (one_std is TypeError)
    assert (one == other) == (one_std == other_std)
    assert repr(one) == repr(one_std)
    if one is not TypeError:
        assert dataclasses.asdict(one) == dataclasses.asdict(one_std)
        if shape != "Many":  # a dict has no hash
            assert (hash(one) == hash(other)) == (hash(one_std) == hash(other_std))


@pytest.mark.parametrize("shape", SHAPES)
def test_it_looks_like_pythons_own(shape: str) -> None:
    mine, std = SHAPES[shape]
    assert is_dataclass(mine)
    assert [(f.name, f.type, f.default, f.compare) for f in fields(mine)] == [
        (f.name, f.type, f.default, f.compare) for f in fields(std)
    ]
    assert (mine.__match_args__, mine.__slots__, mine.__doc__) == (std.__match_args__, std.__slots__, std.__doc__)
    assert not hasattr(made(mine, (["x"][: len(fields(mine))], {})), "__dict__")


def test_it_cannot_be_changed_but_copied_with_a_change() -> None:
    value = Many("a", table={"b": 1})
    for change in (
        lambda: setattr(value, "name", "b"),
        lambda: setattr(value, "new", 1),
        lambda: delattr(value, "name"),
    ):
        with pytest.raises(FrozenInstanceError):
            change()
    changed = replace(value, count=5)
    assert (changed.name, changed.count, changed.table, changed.twice) == ("a", 5, {"b": 1}, 10)
    assert copy.deepcopy(value) == copy.copy(value) == pickle.loads(pickle.dumps(value)) == value
    assert Many("a").table is not Many("a").table


def test_it_equals_no_value_of_another_class() -> None:
    for mine, std in SHAPES.values():
        assert made(mine, (["x"], {})) != made(std, (["x"], {})) or made(std, (["x"], {})) is TypeError


def test_a_call_that_is_wrong_says_why() -> None:
    for call in (lambda: Many(), lambda: Many("a", nme="b"), lambda: Many("a", name="b"), lambda: Many(*range(9))):
        with pytest.raises(TypeError, match=r"Many\(\)"):
            call()


def test_pydantic_reads_it() -> None:
    @ours.dataclass(frozen=True, slots=True)
    class Pair:
        name: str
        count: int = 1

    assert TypeAdapter(tuple[Pair, ...]).validate_python([{"name": "a", "count": 2}, {"name": "b"}]) == (
        Pair("a", 2),
        Pair("b"),
    )


def test_other_dataclasses_are_pythons_own() -> None:
    for decorator in (ours.dataclass, ours.dataclass(slots=True)):

        @decorator
        class Counter:
            n: int = 0

        counter = Counter()
        counter.n += 1
        assert counter == Counter(1)
