"""The same numbers as tables: CSV of every sample, Markdown of every level."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsv4_launch.bench.draw.charts import CHARTS, Chart, Row, applies, caption
from dsv4_launch.bench.metrics import METRICS, figures
from dsv4_launch.bench.series import Series

# A spreadsheet would run a cell that starts so.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SHORT = {
    "mid": "median", "p50": "median", "p95": "p95", "p99": "p99", "mean": "mean",
}  # fmt: skip


def csv_text(series: Iterable[Series]) -> str:
    """Every sample as a line: run, kind, concurrency, repeat, status, why, then each metric under its name."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("run", "kind", "concurrency", "repeat", "status", "why", "source", *METRICS))
    for one in series:
        for sample in one.samples:
            known = figures(sample)
            texts = (one.label, one.kind, sample.concurrency, sample.repeat, sample.status, sample.why, one.source)
            cells = (_cell(text) for text in texts)
            writer.writerow((*cells, *(f"{known[key]:.10g}" if key in known else "" for key in METRICS)))
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        value = "".join(c if c.isprintable() else " " for c in value)
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value


def columns(chart: Chart, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The columns of a chart's table that any row has: field and heading."""
    fields = dict.fromkeys(chart.fields)
    found = [field for field in fields if any(row.get(field) is not None for row in rows)]
    return [(field, heading(field)) for field in found]


def heading(field: str) -> str:
    """What stands over a column, with its unit."""
    name, _, part = field.rpartition("_")
    if name in ("ttft", "itl", "tpot", "e2e") and part in _SHORT:
        return f"{name.upper()} {_SHORT[part]} (ms)"
    own = {
        "ideal": "linear (tokens/s)",
        "per_gpu": "total tokens/s per GPU",
        "output_throughput": "output tokens/s",
        "total_throughput": "total tokens/s",
        "request_throughput": "requests/s",
        "goodput": "goodput (requests/s)",
        "server_ttft_mean": "TTFT mean by the server (ms)",
        "kv_usage_mean": "KV cache, mean share",
        "kv_usage_max": "KV cache, highest share",
        "waiting_mean": "waiting, mean",
        "waiting_max": "waiting, most",
    }
    return own.get(field, field)


def number(value: float | None, field: str = "") -> str:
    """A figure as a person reads it: four digits that count."""
    if value is None:
        return "–"
    if field.startswith("kv_"):
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def markdown(
    title: str, series: Sequence[Series], rows: Sequence[Row], pictures: Mapping[str, str], notes: Sequence[str]
) -> str:
    """The report in Markdown. ``pictures`` maps a chart's key to its picture's path, where one was drawn."""
    lines = [f"# {md(title)}", ""]
    lines += [f"> {md(note)}" for note in notes]
    lines += [""] if notes else []
    for one in series:
        lines += [f"## {md(one.label)}", ""]
        lines += [f"- **{md(name)}**: {md(text)}" for name, text in one.facts.items()]
        lines += [f"- {md(note)}" for note in one.notes]
        lines.append("")
    for chart in CHARTS:
        if applies(chart, rows):
            lines += _section(chart, rows, pictures.get(chart.key))
    bad = [row for row in rows if row["status"] != "ok"]
    if bad:
        lines += ["## Points to be careful with", ""]
        lines += [
            f"- {md(row['run'])}, concurrency {row['c']}: {row['status']}. {md(row.get('why', ''))}" for row in bad
        ]
        lines.append("")
    return "\n".join(lines)


def _section(chart: Chart, rows: Sequence[Row], picture: str | None) -> list[str]:
    found = columns(chart, rows)
    lines = [f"## {chart.title}", "", caption(chart, rows), ""]
    if picture:
        lines += [f"![{chart.title}]({picture})", ""]
    lines += [
        "| Run | Concurrency | Status | " + " | ".join(title for _, title in found) + " |",
        "|---|---:|---|" + "---:|" * len(found),
    ]
    for row in rows:
        cells = [number(row.get(field), field) for field, _ in found]
        lines.append(f"| {md(row['run'])} | {row['c']} | {row['status']} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def md(text: Any) -> str:
    """Text from outside, so that Markdown shows it and does nothing else with it."""
    plain = (c if c.isprintable() else " " for c in str(text))
    return "".join(f"&#{ord(c)};" if c in "<>&|" else f"\\{c}" if c in "\\`*_{}[]#!" else c for c in plain)
