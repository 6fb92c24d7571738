from __future__ import annotations

import pytest

from dsv4_launch.catalog.version import nearest_release, release_tuple, within

KNOWN = ("0.20.0", "0.20.1", "0.25.1", "0.33.0")


@pytest.mark.parametrize(
    ("version", "spec", "want"),
    [
        ("0.20.0", "<0.20.2", True),
        ("0.20.2", "<0.20.2", False),
        ("0.30.0", ">=0.28.0,<0.30.0", False),
        ("0.29.0", ">=0.28.0, <0.30.0", True),
        ("0.9.0", "<0.20.0", True),
        ("0.20.0", "==0.20.0", True),
        ("0.20.0", "!=0.20.0", False),
        ("0.21.0", ">0.20.0,<=0.21.0", True),
    ],
)
def test_ranges_compare_by_number_not_by_text(version, spec, want):
    assert within(version, spec) is want


@pytest.mark.parametrize(
    ("version", "nearest", "exact"),
    [
        ("0.20.1", "0.20.1", True),
        ("0.21.0", "0.20.1", False),
        ("0.99.0", "0.33.0", False),
        ("0.10.0", "0.20.0", False),
        ("0.20.1rc1.dev144+gabc", "0.20.0", False),
        ("0.25.1+cpu", "0.25.1", False),
        ("0.1.dev1+g123", "0.33.0", False),
        ("main", "0.33.0", False),
    ],
)
def test_a_custom_build_takes_the_release_before_the_one_that_it_leads_to(version, nearest, exact):
    assert nearest_release(version, KNOWN) == (nearest, exact)


def test_a_name_that_is_no_release_has_no_order():
    with pytest.raises(ValueError, match="main"):
        release_tuple("main")
