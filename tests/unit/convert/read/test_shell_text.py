"""Words of a pasted command: as a shell splits them, with their places, and with what is wrong in the text."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dsv4_launch.convert.read.shell_text import read_command


def words(text: str, **known: str) -> list[str]:
    return [word.text for word in read_command(text, 0, variables=known).words]


def codes(text: str) -> list[str]:
    return [fault.code for fault in read_command(text, 0).faults]


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
@example(["–", "—x"])
def test_quoted_words_come_back_as_they_were(wanted: list[str]):
    text = shlex.join(wanted)
    found = read_command(text, 0)
    assert [word.text for word in found.words] == wanted
    assert not found.faults
    for word in found.words:
        if word.exact >= 0:
            assert text[word.exact : word.exact + len(word.text)] == word.text
        assert shlex.split(text[word.start : word.end]) == [word.text]


@given(st.text(alphabet="ab \\\t'\"-x=:/.", max_size=40))
def test_words_are_those_of_a_posix_shell(text: str):
    try:
        wanted = shlex.split(text, comments=False)
    except ValueError:
        return  # an open quote
    if text.endswith("\\") or "\\\t" in text or "\\ " in text:
        return
    assert words(text) == wanted


def test_continued_lines_are_one_command_and_a_newline_ends_it():
    assert words("a b \\\n  c\nd") == ["a", "b", "c"]
    assert words("a \\\r\n  b") == ["a", "b"]
    assert words("a b; c") == ["a", "b"]
    assert words("a b && c") == ["a", "b"]


def test_redirections_are_no_words():
    assert words('serve x > "$LOG" 2>&1 &') == ["serve", "x"]
    assert words("a 2>/dev/null --b &>> log") == ["a", "--b"]


def test_a_line_of_options_belongs_to_the_command_above_it():
    text = "docker run \n --gpus all \n\n --ipc=host\nls"
    assert words(text) == ["docker", "run", "--gpus", "all", "--ipc=host"]
    assert codes(text) == ["missing-continuation"] * 2


def test_an_image_on_a_line_of_its_own_between_options_belongs_to_it_too():
    text = "docker run \n -p 1:1 \n vllm/vllm-openai:v1 \n me/model \n --x y"
    assert words(text)[-4:] == ["vllm/vllm-openai:v1", "me/model", "--x", "y"]


def test_a_list_in_prose_is_not_taken_for_options():
    assert words("docker run x\n- and then\n- this") == ["docker", "run", "x"]


@pytest.mark.parametrize(
    ("text", "code", "wanted"),
    [
        ("a \\ \n --b", "space-after-backslash", ["a", "--b"]),
        ("a \\\n # why \\\n --b c", "comment-cuts", ["a", "--b", "c"]),
        ("a 'b c", "unbalanced-quote", ["a", "b c"]),
        ('a "b c\nnext', "unbalanced-quote", ["a", "b c"]),
        ("a “b c” d", "typographic", ["a", "b c", "d"]),
        ("a –-gpus all", "typographic", ["a", "--gpus", "all"]),
        ("a --token <your token> --b", "placeholder", ["a", "--token", "<your token>", "--b"]),
    ],
)
def test_what_pasting_breaks_is_found_and_read_as_it_was_meant(text: str, code: str, wanted: list[str]):
    assert codes(text) == [code]
    assert words(text) == wanted


def test_variables_stay_unless_they_are_known():
    assert words("a $X ${Y} ${Z:-z}", X="1") == ["a", "1", "${Y}", "z"]
    found = read_command('a "$X" \'$X\' "${A[@]}" $(cat "f") `id`', 0)
    assert [word.opaque for word in found.words] == [False, True, False, True, True, True]


def test_double_quotes_keep_backslashes_but_before_what_they_protect():
    assert words('"{\\"a\\": 1}" "\\n"') == ['{"a": 1}', "\\n"]


@pytest.mark.parametrize(
    "piece",
    [
        "'",
        '"',
        "$(",
        "`",
        "\\\n",
        "a ",
        "a\n-b\n",
        "${",
        "“",
        "$'",
        "\n",
        "x#",
        "a 'b",
        "\\'",
        "<a>",
        '"\\',
        '"$(a" ',
        "a/b\n",
    ],
)
def test_hostile_text_is_read_to_its_end(piece: str):
    text = "a " + piece * (300_000 // len(piece))
    read_command(text, 0)  # what is quadratic ends at the timeout of every test
