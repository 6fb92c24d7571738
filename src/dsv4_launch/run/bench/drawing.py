"""Charts become pictures, and a page gets its script, by vl-convert (Vega-Lite in an embedded engine: no browser)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsv4_launch.bench.draw import look
from dsv4_launch.bench.draw.charts import DATA, Chart, Row, caption, spec
from dsv4_launch.errors import ToolError

VEGA_LITE = "6.4"
_SIZE = {"width": 640, "height": 360}
_SCALE = 2.0


def need() -> Any:
    """The vl_convert module. Raises ToolError when the extra is not installed."""
    try:
        import vl_convert
    except ImportError:
        raise ToolError(
            "Charts need the package vl-convert-python, which is not installed (pip install 'dsv4-launch[bench]').",
            where="dsv4 bench report",
            fix="Install it, or ask for the formats md and csv only.",
            code="bench-extra",
        ) from None
    return vl_convert


def picture(chart: Chart, rows: Sequence[Row], labels: Sequence[str]) -> Mapping[str, Callable[[], bytes]]:
    """How to draw a chart as ``svg`` and ``png`` (twice its size in pixels), on white."""
    engine = need()
    drawn = {
        **spec(chart, rows, labels),
        **_SIZE,
        "datasets": {DATA: list(rows)},
        "title": {"text": chart.title, "subtitle": caption(chart, rows)},
        "padding": 12,
    }
    config = look.config("light") | {"font": "DejaVu Sans, Arial, sans-serif"}
    named = {"vl_version": VEGA_LITE, "config": config}
    return {
        "svg": lambda: engine.vegalite_to_svg(drawn, **named).encode(),
        "png": lambda: engine.vegalite_to_png(drawn, scale=_SCALE, **named),
    }


def bundle(cache: Path) -> str:
    """The script with Vega, Vega-Lite and vegaEmbed that a page holds. It takes seconds to make: ``cache`` keeps it."""
    engine = need()
    from importlib.metadata import version

    kept = cache / "report" / f"vega-lite-{VEGA_LITE}-{version('vl-convert-python')}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = kept.read_text("utf-8")
        if found.endswith(_END):
            return found
    # Inside a page nothing may end the element; the page's policy knows the script by the hash of these very bytes.
    made = engine.javascript_bundle(vl_version=VEGA_LITE).replace("\r\n", "\n").replace("</script", "<\\/script")
    made += _END
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f".{kept.name}.{os.getpid()}")
        part.write_text(made, "utf-8")
        part.replace(kept)
    return str(made)


_END = "\n// end of the bundle\n"
