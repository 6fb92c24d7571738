"""The address of a server as people write it."""

from __future__ import annotations

import pytest

from dsv4_launch.cli.service.smoking import checked_url
from dsv4_launch.errors import UsageError


@pytest.mark.parametrize("url", ["http://h:8000", "http://h:8000/", "http://h:8000/v1", "http://h:8000/v1/"])
def test_the_address_is_that_of_the_server(url: str) -> None:
    assert checked_url(url) == "http://h:8000"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("127.0.0.1:8000", "Did you mean http://127.0.0.1:8000?"),
        ("localhost:8000/v1", "Did you mean http://localhost:8000/v1?"),
        ("node-7.example", "Did you mean http://node-7.example?"),
        ("[::1]:80", "Did you mean http://[::1]:80?"),
        ("ftp://h", "For example http://127.0.0.1:8000."),
        ("http://", "For example http://127.0.0.1:8000."),
        ("h:8000 x", "For example http://127.0.0.1:8000."),
        ("me:secret@h", "For example http://127.0.0.1:8000."),
        ("", "For example http://127.0.0.1:8000."),
    ],
)
def test_what_is_no_address_is_answered_by_one(url: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_url(url)
    assert caught.value.problems[0].fix == hint
