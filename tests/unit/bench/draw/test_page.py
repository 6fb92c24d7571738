"""Pages, tables and CSV: hostile text stays text, nothing is loaded, a sentence stands where there are no figures."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.bench.runs import raw, series

from dsv4_launch.bench.draw import page, tables
from dsv4_launch.bench.draw.charts import CHARTS
from dsv4_launch.bench.draw.rows import rows
from dsv4_launch.bench.metrics import METRICS, figures
from dsv4_launch.bench.series import Series

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`${alert(1)}\u2028=1+1"
BUNDLE = "window.vegaEmbed = () => {};"


class Seen(HTMLParser):
    """The elements, attributes and script texts of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[-1] += data


def html(*found: Series, title: str = "A title") -> str:
    return page.html(title, found, rows(found), ["A note."], BUNDLE)


def parsed(text: str) -> Seen:
    seen = Seen()
    seen.feed(text)
    return seen


def hostile(text: str) -> Series:
    return series(name=text, model=text, note=text, why=text, state="stopped", failed=(4,))


@given(st.one_of(st.just(HOSTILE), st.text(alphabet="<>/scriptSCRIPT!-\"'&;= \\u\u2028\x00", min_size=1, max_size=60)))
@settings(max_examples=30, deadline=None)
def test_text_from_outside_adds_no_element_and_no_script(text: str) -> None:
    plain, odd = parsed(html(hostile("plain"))), parsed(html(hostile(text), title=text))
    assert odd.tags == plain.tags
    assert len(odd.scripts) == 3
    assert not [name for name, _ in odd.attributes if name.startswith("on")]
    assert json.loads(odd.scripts[0])["labels"] == [text]


def test_the_policy_names_the_scripts_and_nothing_else() -> None:
    seen = parsed(html(series()))
    policy = next(v for _, v in seen.attributes if "default-src" in v)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in seen.scripts[1:]]
    assert re.findall(r"sha256-([^']+)", policy) == hashes
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy


def test_a_page_loads_nothing() -> None:
    seen = parsed(html(series()))
    assert not [value for name, value in seen.attributes if name in ("src", "srcset", "action")]
    assert all(value.startswith(("#", "https://")) for name, value in seen.attributes if name == "href")
    assert "@import" not in html(series())
    assert "url(" not in html(series())


def test_every_chart_has_a_table_and_every_control_a_name() -> None:
    text = html(series(), series("two"), series("three"))
    assert re.findall(r'id="chart-(\w+)"', text) == [chart.key for chart in CHARTS]
    assert text.count("<summary>Table: ") == text.count('role="region"') == len(CHARTS)
    for box in re.findall(r"<input[^>]*>", text):
        assert "aria-label" in box or f"<label>{box}" in text


def test_what_differs_between_runs_is_said() -> None:
    text = html(series(), series("two", model="another/model"))
    assert "What differs between the runs" in text
    assert "another/model (two)" in text
    assert "What differs" not in html(series(), series("two"))


def test_without_figures_there_is_a_sentence_and_no_chart() -> None:
    nothing = series(levels=(4,), raws={"c0004-r1": raw(4, completed=0, failed=40)})
    text = html(nothing)
    assert "No point has figures" in text
    assert 'class="chart"' not in text
    assert "<script" not in text


@pytest.mark.parametrize("source", ["javascript:alert(1)", "http://x", 'https://a"onclick="b'])
def test_only_https_sources_become_links(source: str) -> None:
    one = Series("x", "reference", (), source=source)
    links = [value for name, value in parsed(html(one)).attributes if name == "href"]
    assert links == ["#charts"] + ([source] if source.startswith("https://") else [])


def test_the_csv_has_every_figure_of_every_sample() -> None:
    found = series(repeats=2, failed=(16,))
    lines = list(csv.DictReader(io.StringIO(tables.csv_text([found]))))
    assert len(lines) == len(found.samples) == 10
    for line, sample in zip(lines, found.samples, strict=True):
        known = figures(sample)
        assert {key: float(line[key]) for key in METRICS if line[key]} == pytest.approx(known)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "a\rb", "\t=1"])
def test_a_spreadsheet_runs_no_cell(text: str) -> None:
    (line, *_) = csv.DictReader(io.StringIO(tables.csv_text([series(name=text)])))
    assert not line["run"].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_markdown_shows_hostile_text_as_text() -> None:
    found = [hostile(HOSTILE + "|[x](y)\n# h")]
    text = tables.markdown("t", found, rows(found), {"itl": "itl.svg"}, [])
    assert "<script" not in text
    assert "<img" not in text
    assert "\n# h" not in text
    assert "![ITL vs concurrency](itl.svg)" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.count("|") for line in table[: 1 + len(rows(found))]}) == 1
