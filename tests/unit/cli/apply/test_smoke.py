"""The checks that a change leaves out of its smoke test."""

from __future__ import annotations

import pytest

from dsv4_launch.cli.apply.smoke import skips
from dsv4_launch.errors import UsageError


@pytest.mark.parametrize("word", ["nonsense=why", "chat", "chat="])
def test_a_wrong_word_is_told_by_the_option_that_it_was_given_to(word: str) -> None:
    with pytest.raises(UsageError) as refused:
        skips([word])
    assert refused.value.problems[0].message.startswith("--skip-smoke ")
