"""`dsv4 bench report` from run directories to files, and its page in a real browser, where hostile text is text."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from tests.unit.bench.runs import raw, run, side

from dsv4_launch.bench.draw.charts import CHARTS
from dsv4_launch.bench.results import Run
from dsv4_launch.cli.main import main
from dsv4_launch.run.bench import store

HOSTILE = "</script><script>console.error('ran')</script><img src=x onerror=\"console.error('ran')\">"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def keep(folder: Path, document: Run, **changed: dict) -> Path:
    """Write a whole run as a sweep does; ``changed`` replaces vLLM's result of a key, None leaves it out."""
    store.write_run(folder, document)
    for planned in document.points:
        data = changed.get(planned.key, raw(planned.concurrency, planned.repeat))
        whole = None if data is None else json.dumps(data).encode()
        store.write_point(folder, side(planned, "ok" if data else "failed", why="" if data else "It died."), whole)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole report of two runs, one of them hostile."""
    base = tmp_path_factory.mktemp("runs")
    runs = [keep(base / "a", run(HOSTILE, note=HOSTILE, repeats=2), **{"c0016-r1": None}), keep(base / "b", run("b"))]
    out = base / "out"
    assert main(["bench", "report", *map(str, runs), "--out", str(out), "--format", "html,md,csv,svg,png"]) == 0
    return out


def browse(*words: str) -> tuple[str, str]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --hide-scrollbars"
    command = [CHROMIUM, *flags.split(), "--virtual-time-budget=30000", "--enable-logging=stderr", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)


def test_every_format_is_written(written: Path) -> None:
    names = {path.name for path in written.iterdir()}
    pictures = {f"{chart.key}.{kind}" for chart in CHARTS for kind in ("svg", "png")}
    assert names == {"report.html", "report.md", "points.csv"} | pictures
    for key in (chart.key for chart in CHARTS):
        assert f"]({key}.svg)" in (written / "report.md").read_text()
        assert "<script" not in (written / f"{key}.svg").read_text()
        assert has_ink((written / f"{key}.png").read_bytes())


def has_ink(png: bytes) -> bool:
    """Whether a PNG holds more than a few colours, by its own rows."""
    assert png.startswith(b"\x89PNG")
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        data += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    return len(set(zlib.decompress(data))) > 30


def test_the_page_draws_every_chart_and_runs_nothing_else(written: Path, tmp_path: Path) -> None:
    dom, console = browse("--dump-dom", f"--user-data-dir={tmp_path}", f"file://{written / 'report.html'}")
    assert 'data-drawn="yes"' in dom
    assert console == ""
    for chart in CHARTS:
        (drawn,) = re.findall(rf'<div class="chart[^>]*id="chart-{chart.key}".*?</figure>', dom, re.S)
        assert drawn.count("<path") > 5
    assert "<img" not in re.sub("<script>.*?</script>", "", dom, flags=re.S)


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_page_is_not_blank(written: Path, tmp_path: Path, width: int, dark: bool) -> None:
    picture = tmp_path / "page.png"
    words = [f"--screenshot={picture}", f"--window-size={width},1200", f"--user-data-dir={tmp_path / 'profile'}"]
    words += ["--blink-settings=preferredColorScheme=0"] if dark else []
    _, console = browse(*words, f"file://{written / 'report.html'}")
    assert console == ""
    assert has_ink(picture.read_bytes())


def test_the_page_prints(written: Path, tmp_path: Path) -> None:
    pdf = tmp_path / "page.pdf"
    browse(f"--print-to-pdf={pdf}", f"--user-data-dir={tmp_path / 'profile'}", f"file://{written / 'report.html'}")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert pdf.stat().st_size > 30_000


def test_a_folder_of_runs_is_its_runs(tmp_path: Path) -> None:
    for folder in ("t01", "t02"):
        keep(tmp_path / folder, run("flash"))
    (tmp_path / "tune.json").write_text("{}")
    assert main(["bench", "report", str(tmp_path), "--format", "csv"]) == 0
    lines = (tmp_path / "report/points.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in lines} == {"flash (t01)", "flash (t02)"}
