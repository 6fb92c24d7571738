"""The report as one HTML page: charts by Vega-Lite, tables, configs and fingerprints; nothing is loaded from anywhere.

Text from outside is escaped wherever it stands, and the page's own policy (CSP) runs no script but the two that are
named by their hashes; Vega evaluates its expressions by an interpreter, so that no text ever becomes code.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from dsv4_launch.bench.draw import look, tables
from dsv4_launch.bench.draw.charts import CHARTS, Chart, Row, applies, caption, spec, starts_log
from dsv4_launch.bench.draw.layers import are_many
from dsv4_launch.bench.series import Series
from dsv4_launch.values import counted

_KINDS = {"run": "", "tool": "another tool's file", "reference": "published by others"}


def html(
    title: str, series: Sequence[Series], rows: Sequence[Row], notes: Sequence[str], bundle: str, below: str = ""
) -> str:
    """The page. ``bundle`` is the JavaScript that defines ``vegaEmbed``; ``below`` is HTML of ours after the charts."""
    labels = [one.label for one in series]
    shown = [chart for chart in CHARTS if applies(chart, rows)]
    script = _file("page.js")
    policy = (
        f"default-src 'none'; script-src {_hash(bundle)} {_hash(script)}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = {
        "labels": labels,
        "rows": rows,
        "config": _config(),
        "charts": [
            {
                "key": c.key,
                "log": starts_log(c, rows),
                "linear": _described(c, rows, labels, log=False),
                "logarithmic": _described(c, rows, labels, log=True) if c.kind != "lines" else None,
            }
            for c in shown
        ],
    }
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        f"<title>{escape(title)}</title>\n<style>\n{_file('page.css')}</style>\n</head>\n<body>",
        '<a class="skip" href="#charts">Skip to the charts</a>',
        f"<header><h1>{escape(title)}</h1>{_lead(series, bool(shown))}</header>\n<main>",
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
        _bar(labels, series, bool(shown), banded=not are_many(rows)),
        _charts(shown, rows),
        below,
        _careful(rows),
        _differing(series),
        _runs(series),
        "</main>",
        '<p id="said" class="unseen" role="status"></p>' if shown else "",
        f'<script type="application/json" id="report">{_json(data)}</script>' if shown else "",
        f"<script>{bundle}</script>\n<script>{script}</script>" if shown else "",
        "</body>\n</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _config() -> dict[str, Any]:
    """The charts' config with the page's own colours, which follow its theme and turn light on paper."""
    text = json.dumps(look.config("dark") | {"background": None})
    names = {
        **{color: f"var(--c{number})" for number, color in enumerate(look.COLORS["dark"])},
        look.INK["dark"]: "var(--ink)",
        look.QUIET["dark"]: "var(--quiet)",
        look.GRID["dark"]: "var(--grid)",
        look.PAGE["dark"]: "var(--panel)",
    }
    for color, name in names.items():
        text = text.replace(json.dumps(color), json.dumps(name))
    found: dict[str, Any] = json.loads(text)
    return found


def _described(chart: Chart, rows: Sequence[Row], labels: Sequence[str], *, log: bool) -> dict[str, Any]:
    return {
        **spec(chart, rows, labels, log=log),
        "description": f"{chart.title}. {caption(chart, rows)} The table below has its numbers.",
    }


def _lead(series: Sequence[Series], drawn: bool) -> str:
    samples = sum(len(one.samples) for one in series)
    models = dict.fromkeys(one.facts["model"] for one in series if one.facts.get("model") and one.kind == "run")
    named = f"{'Model' if len(models) == 1 else 'Models'}: {', '.join(models)}" if models else ""
    text = ". ".join(filter(None, (f"{len(series)} series, {counted(samples, 'point')}", named))) + "."
    keys = "The figures of a point: with the mouse, or, once a chart has the focus, with the keys ← and →."
    more = f'<span class="needs-script" hidden> {keys}</span>' if drawn else ""
    return f'<p class="quiet">{escape(text)}{more}</p>'


def _bar(labels: Sequence[str], series: Sequence[Series], drawn: bool, *, banded: bool) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" data-run="{number}" checked>{_swatch(number)}<span>{escape(label)}'
        f"{_tag(series[number])}</span></label>"
        for number, label in enumerate(labels)
    )
    many = (
        '<button type="button" id="all">Show all</button><button type="button" id="none">Hide all</button>'
        if len(labels) > 2
        else ""
    )
    bands = '<label><input type="checkbox" id="bands" checked><span>p95/p99 bands</span></label> ' if banded else ""
    controls = (
        f'<span class="controls needs-script" hidden>{bands}{many} '
        '<button type="button" id="theme">Light or dark</button></span>'
    )
    note = "<noscript><p>The charts need JavaScript; the tables below hold the same numbers.</p></noscript>"
    if not drawn:
        controls = note = ""
    return f'<div class="bar"><fieldset><legend>Series</legend>{boxes}</fieldset>{controls}</div>{note}'


def _tag(series: Series) -> str:
    return f' <span class="tag">{_KINDS[series.kind]}</span>' if _KINDS[series.kind] else ""


def _swatch(number: int) -> str:
    strokes = " ".join(map(str, look.dash(number)))
    color = f"var(--c{number % len(look.COLORS['light'])})"
    return (
        f'<svg class="swatch" aria-hidden="true" viewBox="0 0 30 12"><line x1="1" x2="29" y1="6" y2="6" '
        f'stroke="{color}" stroke-width="3" stroke-dasharray="{strokes}"/></svg>'
    )


def _charts(shown: Sequence[Chart], rows: Sequence[Row]) -> str:
    if not shown:
        return '<section id="charts"><p class="note">No point has figures, so there is nothing to draw.</p></section>'
    figures = "\n".join(_figure(chart, rows) for chart in shown)
    return f'<section id="charts" class="charts" aria-label="Charts">\n{figures}\n</section>'


def _figure(chart: Chart, rows: Sequence[Row]) -> str:
    box = ""
    if chart.kind != "lines":
        checked = " checked" if starts_log(chart, rows) else ""
        box = (
            f'<label class="log needs-script" hidden><input type="checkbox" data-log="{chart.key}"{checked} '
            f'aria-label="Logarithmic axis: {escape(chart.title)}"><span>log axis</span></label>'
        )
    return (
        f'<figure id="figure-{chart.key}"><figcaption><div class="head"><h3>{escape(chart.title)}</h3>{box}</div>'
        f'<p>{escape(caption(chart, rows))}</p></figcaption><div class="chart" id="chart-{chart.key}" tabindex="0" '
        f'role="group" aria-label="Chart: {escape(chart.title)}"></div>'
        f"<details><summary>Table: {escape(chart.title)}</summary>{_table(chart, rows)}</details></figure>"
    )


def _table(chart: Chart, rows: Sequence[Row]) -> str:
    columns = tables.columns(chart, rows)
    head = "".join(f'<th scope="col">{escape(title)}</th>' for _, title in columns)
    body = "".join(
        f"<tr><td>{escape(row['run'])}<td>{row['c']}"
        f'<td class="text{" bad" if row["status"] != "ok" else ""}">{row["status"]}'
        + "".join(f"<td>{tables.number(row.get(field), field)}" for field, _ in columns)
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {escape(chart.title)}"><table>'
        f'<thead><tr><th scope="col">Run</th><th scope="col">Concurrency</th>'
        f'<th scope="col" class="text">Status</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _careful(rows: Sequence[Row]) -> str:
    bad = [row for row in rows if row["status"] != "ok"]
    items = "".join(
        f'<li><strong>{escape(row["run"])}</strong>, concurrency {row["c"]}: <span class="bad">{row["status"]}</span>. '
        f"{escape(row.get('why', ''))}</li>"
        for row in bad
    )
    return f"<h2>Points to be careful with</h2><ul>{items}</ul>" if bad else ""


def _differing(series: Sequence[Series]) -> str:
    """What the runs do not have in common, each value with those that have it."""
    own = [one for one in series if one.kind == "run"]
    if len(own) < 2:
        return ""
    names = dict.fromkeys(name for one in own for name in one.facts if name not in ("run", "measured", "note"))
    lines = []
    for name in names:
        values: dict[str, list[str]] = {}
        for one in own:
            values.setdefault(one.facts.get(name, "not known"), []).append(one.label)
        if len(values) > 1:
            told = "<br>".join(f"{escape(value)} ({escape(_few(labels))})" for value, labels in values.items())
            lines.append(f"<dt>{escape(name)}</dt><dd>{told}</dd>")
    return f"<h2>What differs between the runs</h2><dl>{''.join(lines)}</dl>" if lines else ""


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= 3 else f"{', '.join(labels[:2])} and {len(labels) - 2} more"


def _runs(series: Sequence[Series]) -> str:
    return f'<h2>Config and fingerprint</h2><div class="runs">{"".join(_run(one, len(series)) for one in series)}</div>'


def _run(one: Series, among: int) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in one.facts.items())
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in one.notes)
    source = _link(one.source)
    opened = " open" if among <= 4 else ""
    head = f'<details class="run"{opened}><summary>{escape(one.label)}{_tag(one)}</summary>'
    return f"{head}{notes}<dl>{facts}</dl>{source}</details>"


def _link(source: str) -> str:
    if not source.startswith("https://"):
        return ""
    return f'<p>Source: <a href="{escape(source)}" rel="noreferrer">{escape(source)}</a></p>'


def _json(data: Mapping[str, Any]) -> str:
    """JSON inside a script element: no text in it can end the element or start a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return text


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return files("dsv4_launch.bench.draw").joinpath(name).read_text("utf-8")


def lines(texts: Iterable[str]) -> str:
    """Paragraphs of ours, escaped."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)
