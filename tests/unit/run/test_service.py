"""What dsv4 did not make is neither read nor touched, and is told in one wording."""

from __future__ import annotations

import pytest
from doubles import service

from dsv4_launch.errors import HostError
from dsv4_launch.run.service import belongs, must_be_ours


def test_what_is_ours_passes() -> None:
    must_be_ours(service())


@pytest.mark.parametrize(("target", "thing"), [("docker", "container"), ("native", "process")])
def test_what_is_not_ours_is_left_alone(target: str, thing: str) -> None:
    theirs = service(target=target, foreign=True)
    with pytest.raises(HostError) as refused:
        must_be_ours(theirs, "Measure it by --url.")
    (problem,) = refused.value.problems
    assert belongs(theirs) == f"belongs to a {thing} that dsv4 did not make"
    assert belongs(theirs) in problem.message
    assert (problem.code, problem.where, problem.fix) == ("foreign", f"{target} x", "Measure it by --url.")


def test_without_a_hint_of_its_own_the_way_out_is_another_name() -> None:
    with pytest.raises(HostError) as refused:
        must_be_ours(service(foreign=True))
    assert "name:" in refused.value.problems[0].fix
