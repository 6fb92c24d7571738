from __future__ import annotations

import pytest

from dsv4_launch import errors
from dsv4_launch.errors import Dsv4Error, InputError, Problem, most_basic


def _kinds() -> list[type[Dsv4Error]]:
    return Dsv4Error.__subclasses__()


def test_each_kind_of_failure_has_an_exit_code_of_its_own():
    codes = [kind.exit_code for kind in _kinds()]
    assert sorted(codes) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 130]
    assert len({kind.default_code for kind in _kinds()}) == len(codes)
    assert errors.BUG_EXIT_CODE not in codes


def test_a_message_becomes_a_problem_with_the_code_of_its_kind():
    error = InputError("wrong", where="a.yaml:3", fix="mend it")
    assert error.problems == (Problem("input", "wrong", "a.yaml:3", "mend it"),)
    assert str(error) == "wrong"


def test_several_problems_are_all_kept():
    first, second = Problem("a", "x"), Problem("b", "y")
    assert InputError(first, second).problems == (first, second)


@pytest.mark.parametrize(
    ("codes", "want"), [([], 0), ([0, 0], 0), ([0, 4], 4), ([4, 3, 0], 3), ([130, 7], 7), ([1], 1)]
)
def test_the_most_basic_failure_wins(codes, want):
    assert most_basic(codes) == want
