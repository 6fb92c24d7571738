"""The report's page without a mouse, in a real browser: everything is reached, seen to be reached, and works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.bench.runs import raw, run, side

from dsv4_launch.bench.draw.charts import CHARTS
from dsv4_launch.cli.main import main
from dsv4_launch.run.bench import store
from e2e.browser import Page

HOSTILE = "<img src=x onerror=\"console.error('ran')\">"
# What has the focus: what it is, whether a ring shows it, and whether it lies in sight, below nothing else.
FOCUS = """(() => {
  const it = document.activeElement, box = it.getBoundingClientRect(), ring = getComputedStyle(it);
  const at = document.elementFromPoint(box.x + Math.min(box.width / 2, 20), box.y + Math.min(box.height / 2, 12));
  const name = it.dataset.run ?? it.dataset.log ?? (it.id || it.textContent.slice(0, 40));
  return [it.tagName, name, ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) >= 2,
          it.contains(at) || !!at?.contains(it)];
})()"""
CHOSEN = "document.activeElement.checked"
LINES = "document.querySelectorAll('#chart-ttft .mark-line path').length"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of three runs: with repeats, hostile, and with a failed point."""
    base = tmp_path_factory.mktemp("runs")
    for name, label, failed in (("a", "one", 0), ("b", HOSTILE, 0), ("c", "three", 16)):
        document = run(label, note=HOSTILE)
        store.write_run(base / name, document)
        for planned in document.points:
            gone = planned.concurrency == failed
            data = None if gone else json.dumps(raw(planned.concurrency)).encode()
            store.write_point(base / name, side(planned, "failed" if gone else "ok", why=HOSTILE if gone else ""), data)
    words = [str(base / name) for name in "abc"]
    assert main(["bench", "report", *words, "--out", str(base / "out"), "--format", "html"]) == 0
    return base / "out" / "report.html"


@pytest.fixture(scope="module", params=[(1440, 900), (390, 844)], ids=["desk", "phone"])
def page(report: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page in a window of a desk and of a phone."""
    made = Page(tmp_path_factory.mktemp("profile"), *request.param)
    made.open(report)
    yield made
    made.close()


def reach(page: Page, wanted: str) -> None:
    """Press Tab until something has the focus."""
    for _ in range(100):
        page.press("Tab")
        if page.ask(f"document.activeElement.matches({wanted!r})"):
            return
    raise AssertionError(f"{wanted} is not reached")


def test_tab_reaches_everything_once_and_leaves_again(page: Page) -> None:
    page.ask("document.activeElement.blur(); scrollTo(0, 0)")
    forward = []
    for _ in range(100):
        page.press("Tab")
        found = page.ask(FOCUS)
        if found[0] == "BODY":
            break
        forward.append(found)
    assert found[0] == "BODY", "the page lets go of the focus at its end"
    assert [one for one in forward if not (one[2] and one[3])] == []
    names = [(tag, name) for tag, name, _, _ in forward]
    assert len(set(names)) == len(names)
    wanted = page.ask("document.querySelectorAll('main input, main button, main summary, .chart').length")
    assert sum(tag in ("INPUT", "BUTTON", "SUMMARY", "DIV") for tag, _ in names) == wanted
    assert {name for tag, name in names if tag == "DIV"} == {f"chart-{chart.key}" for chart in CHARTS}
    backward = []
    for _ in forward:
        page.press("Tab", shift=True)
        backward.append(page.ask(FOCUS))
    assert [one[:2] for one in reversed(backward)] == [one[:2] for one in forward]
    assert [one for one in backward if not (one[2] and one[3])] == []


def test_space_chooses_series_bands_and_axes(page: Page) -> None:
    before = page.ask(LINES)
    reach(page, "[data-run='1']")
    page.press(" ")
    assert page.ask(CHOSEN) is False
    page.wait(f"{LINES} < {before}")
    page.press(" ")
    page.wait(f"{LINES} === {before}")
    reach(page, "#bands")
    page.press(" ")
    page.wait("document.querySelectorAll('#chart-ttft .mark-area path').length === 0")
    page.press(" ")
    page.wait("document.querySelectorAll('#chart-ttft .mark-area path').length > 0")
    ticks = "document.querySelector('#chart-ttft svg')?.textContent ?? ''"
    reach(page, "[data-log='ttft']")
    was, axis = page.ask(CHOSEN), page.ask(ticks)
    page.press(" ")
    assert page.ask(CHOSEN) is not was
    page.wait(f"![{json.dumps(axis)}, ''].includes({ticks})")
    assert page.ask("document.activeElement.dataset.log") == "ttft"
    page.press(" ")
    page.wait(f"{ticks} === {json.dumps(axis)}")


@pytest.mark.parametrize("key", [" ", "Enter"])
def test_buttons_and_tables_open_by_either_key(page: Page, key: str) -> None:
    reach(page, "#none")
    page.press(key)
    page.wait(f"{LINES} === 0")
    reach(page, "#all")
    page.press(key)
    page.wait(f"{LINES} > 0")
    reach(page, "#theme")
    theme = page.ask("getComputedStyle(document.body).backgroundColor")
    page.press(key)
    assert page.ask("getComputedStyle(document.body).backgroundColor") != theme
    reach(page, "#figure-itl summary")
    page.press(key)
    assert page.ask("document.querySelector('#figure-itl details').open") is True
    page.press("Tab")
    assert page.ask("document.activeElement.matches('#figure-itl .scroll')")
    assert page.ask("document.activeElement.innerText.includes('ITL median (ms)')")
    page.press("Tab", shift=True)
    page.press(key)
    assert page.ask("document.querySelector('#figure-itl details').open") is False


def test_the_arrow_keys_tell_the_figures_of_each_point(page: Page) -> None:
    said = "document.getElementById('said').textContent"
    shown = "document.querySelector('#vg-tooltip-element.visible')?.innerText ?? ''"
    reach(page, "#chart-ttft")
    page.press("ArrowRight")
    assert page.ask(said).startswith("run one, concurrency 1, status ok")
    assert "TTFT median (ms)" in page.ask(shown)
    page.press("ArrowRight")
    assert ", concurrency 2," in page.ask(said)
    page.press("ArrowLeft")
    assert ", concurrency 1," in page.ask(said)
    page.press("End")
    assert f"run three, concurrency 16, status failed, why {HOSTILE}" in page.ask(said)
    texts = []
    for _ in range(15):
        page.press("ArrowLeft")
        texts.append(page.ask(said))
    assert any(text.startswith(f"run {HOSTILE}, concurrency") for text in texts)
    assert not any("NaN" in text or "undefined" in text for text in texts)
    assert page.ask("document.querySelectorAll('#chart-ttft path.here').length") == 1
    page.press("Escape")
    assert page.ask(shown) == ""
    page.press("ArrowRight")
    page.press("Tab")
    assert page.ask(shown) == ""
    assert page.ask("document.querySelectorAll('path.here').length") == 0
    assert page.said == []
