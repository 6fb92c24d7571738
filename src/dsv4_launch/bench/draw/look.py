"""How charts look: colours that colour-blind readers tell apart on white and on dark, strokes, and Vega's config.

The colours started from Okabe and Ito's and were moved until the nearest two were as far apart as could be for normal
sight and for each kind of colour blindness, with a contrast of 3:1 against the page. Six colours times four strokes
tell 24 series apart.
"""

from __future__ import annotations

from typing import Any, Literal

Theme = Literal["light", "dark"]

COLORS: dict[Theme, tuple[str, ...]] = {
    "light": ("#0043ea", "#f16400", "#04a672", "#c868c4", "#3f3f3f", "#713300"),
    "dark": ("#00bbff", "#c25d00", "#027752", "#9a4996", "#cecece", "#ffbb00"),
}
DASHES: tuple[tuple[int, ...], ...] = ((), (7, 4), (2, 3), (9, 3, 2, 3))
PAGE: dict[Theme, str] = {"light": "#ffffff", "dark": "#16181d"}
INK: dict[Theme, str] = {"light": "#1d2129", "dark": "#e4e6ea"}
QUIET: dict[Theme, str] = {"light": "#5b6270", "dark": "#a2a9b5"}
GRID: dict[Theme, str] = {"light": "#e3e6eb", "dark": "#31353d"}

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def dash(number: int) -> list[int]:
    """The stroke of series ``number``: the next one for each round of colours."""
    return list(DASHES[number // len(COLORS["light"]) % len(DASHES)])


def config(theme: Theme) -> dict[str, Any]:
    """Vega-Lite's ``config`` for a theme. Colours of series are its category range: specs do not hold any."""
    axis = {"labelColor": QUIET[theme], "titleColor": INK[theme], "gridColor": GRID[theme], "domainColor": GRID[theme]}
    return {
        "background": None if theme == "dark" else PAGE[theme],
        "font": FONT,
        "view": {"stroke": None},
        "range": {"category": list(COLORS[theme])},
        "axis": {
            **axis,
            "tickColor": GRID[theme],
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "legend": {
            "labelColor": INK[theme],
            "titleColor": QUIET[theme],
            "labelFontSize": 11,
            "symbolSize": 70,
            "symbolBaseFillColor": QUIET[theme],
            "symbolBaseStrokeColor": QUIET[theme],
            "layout": {"bottom": {"anchor": "start", "direction": "vertical", "margin": 8}},
        },
        "title": {"color": INK[theme], "subtitleColor": QUIET[theme], "anchor": "start", "fontSize": 14},
        "text": {"color": INK[theme]},
        "style": {"halo": {"fill": PAGE[theme], "stroke": PAGE[theme], "strokeWidth": 4, "strokeJoin": "round"}},
    }
