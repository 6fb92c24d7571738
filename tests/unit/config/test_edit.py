from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsv4_launch.config.edit import REMOVED, edit, remove, set_value
from dsv4_launch.config.yaml_text import parse
from dsv4_launch.errors import InputError

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))

TEXT = """\
# What this is for.
name: x   # a name
vllm: "0.20.0"

# The model.
model: flash  # the preview
engine:  # arguments
  max_model_len: auto
  compilation_config: {cudagraph_mode: FULL, custom_ops: [all]}  # graphs
  # max_num_seqs: 5

container:
    mounts:
    - source: ~/a  # mine
      target: /a
    - {source: /b, target: /b}
    image: 'a:1'
# The end.
"""


def lines_changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that only one of two texts has: what is between their common beginning and end."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        # A value is replaced in place; its quotes and the comment behind it stay.
        ("name", "y", "name: x   # a name\n", "name: y   # a name\n"),
        ("vllm", "0.28.0", 'vllm: "0.20.0"\n', 'vllm: "0.28.0"\n'),
        ("container.image", "b:2", "    image: 'a:1'\n", "    image: 'b:2'\n"),
        ("container.image", None, "    image: 'a:1'\n", "    image: null\n"),
        ("name", "1.0", "name: x   # a name\n", "name: '1.0'   # a name\n"),
        ("name", "a\nb: c", "name: x   # a name\n", 'name: "a\\nb: c"   # a name\n'),
        ("name", "yes", "name: x   # a name\n", "name: 'yes'   # a name\n"),
        ("name", "# no comment", "name: x   # a name\n", "name: '# no comment'   # a name\n"),
        # A flow table keeps its form, and what comes into it is quoted as it needs there.
        (
            "engine.compilation_config.mode",
            3,
            "  compilation_config: {cudagraph_mode: FULL, custom_ops: [all]}  # graphs\n",
            "  compilation_config: {cudagraph_mode: FULL, custom_ops: [all], mode: 3}  # graphs\n",
        ),
        (
            "engine.compilation_config.custom_ops",
            ("none", "+a,b"),
            "  compilation_config: {cudagraph_mode: FULL, custom_ops: [all]}  # graphs\n",
            "  compilation_config: {cudagraph_mode: FULL, custom_ops: [none, '+a,b']}  # graphs\n",
        ),
        # A new value stands at the end of its table, behind the table's own comments, before the blank line.
        ("engine.block_size", 256, "", "  block_size: 256\n"),
        ("server.port", 9000, "", "server:\n  port: 9000\n"),
        ("engine.a.b", {"c": [1, {"d": 2}], "e": {}}, "", "  a:\n    b:\n      c:\n        - 1\n"
         "        - {d: 2}\n      e: {}\n"),
        ("container.mounts.2", {"source": "c"}, "", "    - {source: c}\n"),
        ("container.mounts.0.read_only", True, "", "      read_only: true\n"),
        # A table in place of a text.
        ("model", {"repo": "a/b", "revision": "0" * 40}, "model: flash  # the preview\n",
         f"model:  # the preview\n  repo: a/b\n  revision: '{'0' * 40}'\n"),
        # And the other way round.
        ("engine.compilation_config", 3, "  compilation_config: {cudagraph_mode: FULL, custom_ops: [all]}  # graphs\n",
         "  compilation_config: 3  # graphs\n"),
        # Removed.
        ("vllm", REMOVED, 'vllm: "0.20.0"\n', ""),
        ("engine.compilation_config.cudagraph_mode", REMOVED,
         "  compilation_config: {cudagraph_mode: FULL, custom_ops: [all]}  # graphs\n",
         "  compilation_config: {custom_ops: [all]}  # graphs\n"),
        ("engine.compilation_config.custom_ops", REMOVED,
         "  compilation_config: {cudagraph_mode: FULL, custom_ops: [all]}  # graphs\n",
         "  compilation_config: {cudagraph_mode: FULL}  # graphs\n"),
        ("engine.compilation_config.custom_ops.0", REMOVED,
         "  compilation_config: {cudagraph_mode: FULL, custom_ops: [all]}  # graphs\n",
         "  compilation_config: {cudagraph_mode: FULL, custom_ops: []}  # graphs\n"),
        ("container.mounts.0", REMOVED, "    - source: ~/a  # mine\n      target: /a\n", ""),
        ("container.mounts.1", REMOVED, "    - {source: /b, target: /b}\n", ""),
        ("container.mounts.0.source", REMOVED, "    - source: ~/a  # mine\n      target: /a\n", "    - target: /a\n"),
        ("nowhere.at.all", REMOVED, "", ""),
        ("engine.nowhere", REMOVED, "", ""),
    ],
)  # fmt: skip
def test_a_change_touches_its_own_lines_only(path, value, old, new):
    steps = tuple(int(step) if step.isdigit() else step for step in path.split("."))
    after = edit(TEXT, [(steps, value)])
    assert lines_changed(TEXT, after) == (old.splitlines(keepends=True), new.splitlines(keepends=True))
    if not (value is REMOVED and isinstance(steps[-1], int)):  # the next item has that number now
        assert edit(after, [(steps, value)]) == after


def test_a_new_value_comes_behind_the_comments_of_its_table():
    assert "  # max_num_seqs: 5\n  block_size: 256\n\ncontainer:" in set_value(TEXT, ("engine", "block_size"), 256)
    assert set_value(TEXT, ("gpu",), "b200").endswith("# The end.\ngpu: b200\n")


def test_a_table_is_merged_into_the_one_that_is_there():
    after = set_value(TEXT, ("engine",), {"compilation_config": {"cudagraph_mode": "FULL"}, "max_num_seqs": 5})
    assert "engine:  # arguments\n  compilation_config: {cudagraph_mode: FULL}  # graphs\n" in after
    assert after.endswith(TEXT[TEXT.index("\ncontainer:") :])


def test_an_equal_value_keeps_its_spelling():
    text = "a: 0.90  # ninety\nb: [ 1,2 ]\nc: yes\nd: 'x'\n"
    assert edit(text, [(("a",), 0.9), (("b",), (1, 2)), (("c",), True), (("d",), "x")]) == text


def test_several_changes_are_one_edit():
    after = edit(TEXT, [(("vllm",), REMOVED), (("server", "port"), 1), (("server", "host"), "::1"), (("name",), "z")])
    data, _ = parse(after, "c.yaml")
    assert (data["name"], data["server"], "vllm" in data) == ("z", {"port": 1, "host": "::1"}, False)


@pytest.mark.parametrize(
    ("text", "path", "value", "after"),
    [
        ("a: 1", ("b",), 2, "a: 1\nb: 2"),
        ("a: 1\r\nb:\r\n  c: 2\r\n", ("b", "d"), 3, "a: 1\r\nb:\r\n  c: 2\r\n  d: 3\r\n"),
        ("\ufeffa: 1\n", ("a",), 2, "\ufeffa: 2\n"),
        ("é: 🚀 # ü\nb: 1\n", ("b",), 2, "é: 🚀 # ü\nb: 2\n"),
        ("a:\nb: 1\n", ("a",), 2, "a: 2\nb: 1\n"),
        ("a:   # c\nb: 1\n", ("a", "x"), 2, "a:   # c\n  x: 2\nb: 1\n"),
        ("a: |\n  text\n  more\n\nb: 1\n", ("a",), "x", "a: x\nb: 1\n"),
        ("a: |+\n  text\n\n", ("b",), 1, "a: |+\n  text\n\nb: 1\n"),
        ("a: >-\n  text\n  more\nb: 1\n", ("a",), REMOVED, "b: 1\n"),
        ("a: one\n  two  # c\nb: 1\n", ("a",), "x", "a: x  # c\nb: 1\n"),
        ("---\na: 1\n...\n", ("b",), 2, "---\na: 1\nb: 2\n...\n"),
        ("{a: 1}\n", ("b",), 2, "{a: 1, b: 2}\n"),
        ("{}\n", ("b",), 2, "{b: 2}\n"),
        ("a: {}\n", ("a", "b"), 2, "a: {b: 2}\n"),
        ("a: {b, c: 1}\n", ("a", "b"), 2, "a: {b: 2, c: 1}\n"),
        ("a: {b: , c: 1}\n", ("a", "b"), 2, "a: {b: 2 , c: 1}\n"),
        ("a: {b: 1,}\n", ("a", "c"), 2, "a: {b: 1, c: 2,}\n"),
        ("a: [1, 2,]\n", ("a", 1), REMOVED, "a: [1, ]\n"),
        ("a: {\n  b: 1,  # one\n  c: 2  # two\n}\n", ("a", "d"), 3, "a: {\n  b: 1,  # one\n  c: 2, d: 3  # two\n}\n"),
        ("a: {\n  b: 1,\n  c: 2\n}\n", ("a", "b"), REMOVED, "a: {\n  c: 2\n}\n"),
        ("a: {\n  b: 1, # one\n  c: 2\n}\n", ("a", "c"), REMOVED, "a: {\n  b: 1 # one\n  \n}\n"),
        ("a: {b: 1}\n", ("a", "b"), REMOVED, "a: {}\n"),
        ("a:\n  b: 1  # one\n# two\nc: 1\n", ("a", "b"), REMOVED, "a: {}\n# two\nc: 1\n"),
        ("a: 1  # one\n# two\n", ("a",), REMOVED, "{}\n# two\n"),
        ("a:\n- 1\n# of b\nb: 1\n", ("a", 1), 2, "a:\n- 1\n- 2\n# of b\nb: 1\n"),
        ("a:\n- 1\n- 2\nb: 1\n", ("a",), 3, "a: 3\nb: 1\n"),
        ("a:\n  # of it\n  b: 1\nc: 1\n", ("a",), 3, "a: 3\n  # of it\nc: 1\n"),
        ("a:\n- - 1\n  - 2\n", ("a", 0, 0), REMOVED, "a:\n- - 2\n"),
        ("a:\n- b: 1  # one\n  # two\n  c: 2\n", ("a", 0, "b"), REMOVED, "a:\n-\n  # two\n  c: 2\n"),
        ("a:\n-\n- 2\n", ("a", 0), 1, "a:\n- 1\n- 2\n"),
        ("a: !!str 5\n", ("a",), 6, "a: 6\n"),
    ],
)
def test_the_odd_forms_of_yaml(text, path, value, after):
    assert edit(text, [(path, value)]) == after


@pytest.mark.parametrize(
    ("text", "path", "said", "where"),
    [
        ("a: 1\n", ("a", "b"), "a.b is inside a value that is not a table.", "c.yaml:1"),
        ("a: 1\nb: [1]\n", ("b", "c"), "b.c is inside a value that is not a table.", "c.yaml:2"),
        ("b: [1]\n", ("b", 2), "b.2 is beyond the end of its list.", "c.yaml:1"),
        ("x: 1\n? a\n: 1\n", ("b",), "Keys written `? key` are not edited.", "c.yaml:2"),
        ("a: &x [1]\nb: *x\n", ("a",), "anchors", "c.yaml:1"),
        ("a: [\n", ("a",), "not YAML", "c.yaml:2"),
        ("a: 1\nb: |\n  x", ("a",), "without an end of line", "c.yaml:1"),
    ],
)
def test_what_cannot_be_edited_is_said(text, path, said, where):
    with pytest.raises(InputError) as caught:
        set_value(text, path, 2, "c.yaml")
    assert said in caught.value.problems[0].message
    assert caught.value.problems[0].where == where


def test_nothing_to_remove_is_no_error():
    assert remove(TEXT, ("container", "mounts", 7)) == TEXT
    assert remove("a:\n", ("a", "b")) == "a:\n"


# --- laws, on generated texts -------------------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from(["", "x", "yes", "null", "1.0", "1_000", "0x1F", "1:30", "a: b", "# c", "- d", "[e", "{f", "é 🚀",
                     "~", "'q'", '"', "a,b", "*x", "&x", "!t", "%d", "@e", "`f", " pad ", "a\nb", "tab\t", "\x85", "=",
                     "<<", "2026-01-01", "a\\n", "?", ":", "-", "---", "x:y", "x #y", "\x07", "\u2028"]),
    st.text(max_size=6).filter(lambda text: all(c.isprintable() or c in "\n\t" for c in text)),
)  # fmt: skip
SCALARS = st.one_of(
    WORDS, st.integers(-(10**17), 10**17), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
)
KEYS = st.sampled_from(["a", "b", "c", "d e", "f-g", "0", "yes", "k: v", "#h", "", "ü"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=3), max_leaves=6
)
TABLES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def quoted(draw, value: object) -> str:
    """A scalar as some hand might write it; JSON is YAML."""
    if isinstance(value, str) and value.isprintable() and draw(st.booleans()):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, str) and value.isascii() and value.isalpha() and value not in {"yes", "null", "x"}:
        return value
    if isinstance(value, str):
        return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value) + '"'
    return json.dumps(value) if not isinstance(value, float) else f"{value:.1f}"


def flowing(draw, value: object) -> str:
    comma = draw(st.sampled_from([", ", ",", " ,\n      ", ",  # of it\n      "]))
    last = draw(st.sampled_from(["", ",", " "]))
    if isinstance(value, dict):
        body = comma.join(f"{quoted(draw, key)}: {flowing(draw, item)}" for key, item in value.items())
        return "{" + body + (last if value else "") + "}"
    if isinstance(value, list):
        return "[" + comma.join(flowing(draw, item) for item in value) + (last if value else "") + "]"
    return quoted(draw, value)


def written(draw, value: object, indent: int, unit: int, comments: list[str]) -> str:
    """A block table or list as some hand might write it."""

    def comment(margin: str = "  ") -> str:
        comments.append(f"# comment {len(comments)}!")
        return margin + comments[-1]

    text, margin = "", " " * indent
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        text += draw(st.sampled_from(["", "", "\n", "  \n"]))
        text += comment(margin) + "\n" if draw(st.booleans()) else ""
        head = f"{margin}{quoted(draw, key)}:" if isinstance(value, dict) else f"{margin}-"
        tail = comment() if draw(st.booleans()) else ""
        if isinstance(item, dict | list) and item and draw(st.booleans()):
            # A list may stand below its key without being indented, as a table may behind its dash.
            step = 0 if isinstance(item, list) and isinstance(value, dict) and draw(st.booleans()) else unit
            text += f"{head}{tail}\n" + written(draw, item, indent + step, unit, comments)
        elif isinstance(item, str) and item.isalpha() and item.isascii() and draw(st.booleans()):
            text += f"{head} {draw(st.sampled_from(['|', '>', '|-']))}\n{margin}{' ' * unit}{item}\n"
        elif item is None and draw(st.booleans()):
            text += f"{head}{tail}\n"
        else:
            text += f"{head} {flowing(draw, item)}{tail}\n"
    return text


def same_data(one: str, other: str) -> bool:
    return plain(parse(one, "c.yaml")[0]) == plain(parse(other, "c.yaml")[0])


@st.composite
def texts(draw) -> tuple[str, list[str]]:
    comments: list[str] = []
    table = draw(TABLES)
    text = written(draw, table, 0, draw(st.sampled_from([1, 2, 4])), comments)
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    short = text.rstrip("\r\n")
    # A block text needs its end of line: without it the editor refuses the file.
    if draw(st.booleans()) and not re.search(r"(\||>|\|-)\r?\n[^\n]*\Z", short) and same_data(short, text):
        text = short
    return text, [c for c in comments if c in text]


def places(data: object, path: tuple = ()) -> list[tuple]:
    """Every path that is there, and one that is not in each table and list."""
    if isinstance(data, dict):
        inner = [place for key, item in data.items() for place in places(item, (*path, key))]
        return [*([path] if path else []), (*path, "new"), (*path, "new", "deep"), *inner]
    if isinstance(data, list):
        return [path, (*path, len(data)), *(p for n, item in enumerate(data) for p in places(item, (*path, n)))]
    return [path]


def changed(data: object, path: tuple, value: object) -> object:
    """What the change means, said as simply as it can be."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if value is REMOVED and (step >= len(data) if isinstance(data, list) else step not in (data or {})):
        return data
    if isinstance(data, list):
        inside = changed(data[step] if step < len(data) else None, rest, value)
        return data[:step] + ([] if inside is REMOVED else [inside]) + data[step + 1 :]
    inside = changed((data or {}).get(step), rest, value)
    return {k: v for k, v in {**(data or {}), step: inside}.items() if v is not REMOVED}


def plain(data: object) -> str:
    return json.dumps(data, sort_keys=True)


@settings(max_examples=200, deadline=None)
@given(texts(), st.data())
def test_an_edited_text_holds_what_was_asked_for(generated, data):
    text, _ = generated
    before = json.loads(json.dumps(parse(text, "c.yaml")[0]))
    path = data.draw(st.sampled_from(places(before)))
    value = data.draw(st.one_of(VALUES, st.just(REMOVED)))
    try:
        after = edit(text, [(path, value)])
    except InputError:
        assert is_beside_a_table(before, path)
        return
    found = json.loads(json.dumps(parse(after, "c.yaml")[0]))
    assert plain(found) == plain(changed(before, path, value))
    if not (value is REMOVED and isinstance(path[-1], int)):
        assert edit(after, [(path, value)]) == after


@settings(max_examples=100, deadline=None)
@given(texts(), st.data())
def test_what_is_added_takes_nothing_away(generated, data):
    text, comments = generated
    before = json.loads(json.dumps(parse(text, "c.yaml")[0]))
    path = data.draw(st.sampled_from([place for place in places(before) if place[-1] == "new"]))
    after = set_value(text, path, data.draw(VALUES))
    old, _ = lines_changed(text, after)
    # One line at most is rewritten: that of a table in braces, or of a key that had nothing behind it.
    assert len([line for line in old if line.strip()]) <= 1
    assert all(comment in after for comment in comments)


@settings(max_examples=100, deadline=None)
@given(texts(), st.data())
def test_a_scalar_for_a_scalar_changes_no_other_line(generated, data):
    text, comments = generated
    before = json.loads(json.dumps(parse(text, "c.yaml")[0]))
    scalars = [path for path in places(before) if "new" not in path and is_scalar(before, path)]
    if not scalars:
        return
    after = set_value(text, data.draw(st.sampled_from(scalars)), data.draw(SCALARS))
    old, new = lines_changed(text, after)
    assert len(new) <= 1
    # A block text has two lines, and the empty lines behind it are its own.
    assert len([line for line in old if line.strip()]) <= 2
    assert all(comment in after for comment in comments)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_built_in_configs_can_be_pinned(path):
    text = path.read_text()
    after = edit(text, [(("model",), {"repo": "a/b", "revision": "0" * 40}), (("container", "image"), "a:v1@sha256:0")])
    assert parse(after, path.name)[0]["container"]["image"] == "a:v1@sha256:0"
    assert all(line in after.splitlines() for line in text.splitlines() if line.startswith(("#", "  ", "name")) and
               "image:" not in line and "revision" not in line and "repo" not in line)  # fmt: skip


def is_beside_a_table(data: object, path: tuple) -> bool:
    """True when the path leads through a text or number."""
    for step in path:
        if not isinstance(data, dict | list):
            return data is not None
        data = data[step]
    return False


def is_scalar(data: object, path: tuple) -> bool:
    for step in path:
        if isinstance(data, list) and step == len(data):
            return False
        data = data[step]
    return not isinstance(data, dict | list)
