from __future__ import annotations

import json
import shlex
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.values import (
    SHELL_FORMS,
    Command,
    Joined,
    Ref,
    RefName,
    canonical_json,
    counted,
    digest,
    fill,
    host_path,
    joined,
    listed,
    nearest,
    shell_word,
    to_data,
)


def test_every_placeholder_has_a_shell_form():
    assert set(SHELL_FORMS) == set(get_args(RefName))


@given(st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_plain_words_survive_a_shell(text):
    assert shlex.split(shell_word(text)) == [text]


def test_a_placeholder_is_expanded_inside_double_quotes_and_text_beside_it_is_not():
    word = joined(Ref("home"), '/a "b" $c `d` \\e')
    assert shell_word(word) == '"$HOME/a \\"b\\" \\$c \\`d\\` \\\\e"'


def test_joined_keeps_plain_text_plain_and_flattens():
    assert joined("a", "b") == "ab"
    assert joined() == ""
    assert joined(Ref("home")) == Ref("home")
    assert joined(joined(Ref("home"), "/x"), "/y") == Joined((Ref("home"), "/x/y"))


def test_placeholders_stay_distinguishable_from_text_in_json():
    data = json.loads(canonical_json([joined(Ref("hf_home"), ":/root")]))
    assert data == [{"join": [{"ref": "hf_home"}, ":/root"]}]


def test_fill_needs_every_place():
    assert fill(joined(Ref("home"), "/x"), {"home": "/root"}) == "/root/x"
    with pytest.raises(KeyError):
        fill(Ref("hf_home"), {"home": "/root"})


def test_a_filled_command_has_no_placeholder_left():
    command = Command(("a", Ref("home")), {"X": joined(Ref("home"), "/y")}, {"KEY": "MY_KEY"})
    assert command.fill({"home": "/h"}) == Command(("a", "/h"), {"X": "/h/y"}, {"KEY": "MY_KEY"})


@pytest.mark.parametrize(("path", "want"), [("~", Ref("home")), ("/a", "/a"), ("~x/y", "~x/y"), ("a~", "a~")])
def test_only_a_leading_tilde_is_home(path, want):
    assert host_path(path) == want


def test_digest_is_of_the_value_not_of_its_order():
    assert digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})


def test_nearest_and_listed():
    assert nearest("block-siz", ["block_size", "port"]) == "block_size"
    assert nearest("zzz", ["block_size"]) is None
    assert listed([]) == "nothing"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b or c"


def test_to_data_gives_plain_json_types():
    assert to_data((Ref("home"), {"k": (1, None)})) == [{"ref": "home"}, {"k": [1, None]}]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ((0, "file"), "0 files"),
        ((1, "file"), "1 file"),
        ((2000, "file"), "2,000 files"),
        ((1, "advisory", "advisories"), "1 advisory"),
        ((2, "advisory", "advisories"), "2 advisories"),
    ],
)
def test_one_is_one_and_several_are_several(told, text):
    assert counted(*told) == text
