"""The charts: what each shows, and its Vega-Lite spec, a pure value from which HTML, SVG and PNG are all drawn.

A spec names its data set (`DATA`) and holds no text from outside but the labels of series, as plain strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dsv4_launch.bench.draw.layers import Drawing, are_many

DATA = "levels"
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: ``kind`` how it is drawn, ``fields`` the columns that it needs, the first of them above all.

    Its axis is logarithmic when the values span more than a factor of ``log_from`` (0: never by itself).
    """

    key: str
    title: str
    caption: str
    kind: Literal["latency", "lines", "scaling", "frontier"]
    fields: tuple[str, ...]
    y_title: str
    log_from: float = 0.0


def _latency(name: str, key: str, title: str, y_title: str, caption: str) -> Chart:
    fields = tuple(f"{name}_{part}" for part in ("mid", "p95", "p99", "mean"))
    return Chart(key, title, caption, "latency", fields, f"{y_title} (ms)", log_from=30)


def caption(chart: Chart, rows: Sequence[Row]) -> str:
    """What a chart shows; of many series no bands are drawn."""
    if chart.kind != "latency" or not are_many(rows):
        return chart.caption
    return f"{chart.caption.partition('; bands to')[0]}; p95 and p99 of so many series are in the table alone."


CHARTS: tuple[Chart, ...] = (
    _latency(
        "itl", "itl", "ITL vs concurrency", "Inter-token latency",
        "Time between two tokens of one answer: median line; bands to the 95th and 99th percentile.",
    ),
    _latency(
        "ttft", "ttft", "Time to first token vs concurrency", "Time to first token",
        "From sending a request to its first token, seen by the client: median line; bands to p95 and p99.",
    ),
    Chart(
        "scaling", "Throughput scaling",
        "Output tokens per second. Dashed and thin: what the first point would give if it scaled linearly.",
        "scaling", ("output_throughput", "ideal", "per_gpu"), "Output tokens/s", log_from=3,
    ),
    Chart(
        "frontier", "Total tokens/s vs average TTFT",
        "What throughput costs in waiting: a point for each concurrency, marked with it. Up and left is better.",
        "frontier", ("total_throughput", "ttft_mean"), "Input and output tokens/s",
    ),
    Chart(
        "per_gpu", "Total tokens/s per GPU",
        "Input and output tokens per second, divided by the GPUs that served.",
        "lines", ("per_gpu",), "Tokens/s per GPU",
    ),
    _latency(
        "tpot", "tpot", "TPOT vs concurrency", "Time per output token",
        "Per request: time after the first token over the tokens after it. Median line; bands to p95 and p99.",
    ),
    _latency(
        "e2e", "e2e", "End-to-end latency vs concurrency", "End-to-end latency",
        "From sending a request to its last token: median line; bands to p95 and p99.",
    ),
    Chart(
        "goodput", "Goodput under the SLO",
        "Requests per second that kept every limit of the service level; thin: all requests per second.",
        "lines", ("goodput", "request_throughput"), "Requests/s",
    ),
    Chart(
        "kv", "KV cache in use",
        "Share of the KV cache's blocks, from the server's own metrics: mean line; thin: the highest.",
        "lines", ("kv_usage_mean", "kv_usage_max"), "KV cache in use",
    ),
    Chart(
        "queue", "Requests waiting on the server",
        "Length of the server's queue, from its own metrics: mean line; thin: the longest.",
        "lines", ("waiting_mean", "waiting_max"), "Requests waiting",
    ),
    Chart(
        "ttft_server", "Mean TTFT: client against server",
        "Line: as the client saw it; thin: as the server counted it. Between them lie network, HTTP and client.",
        "lines", ("ttft_mean", "server_ttft_mean"), "Mean TTFT (ms)",
    ),
)  # fmt: skip
BY_KEY: Mapping[str, Chart] = {chart.key: chart for chart in CHARTS}
FIRST_FOUR = ("itl", "ttft", "scaling", "frontier")


def applies(chart: Chart, rows: Sequence[Row]) -> bool:
    """Whether there is anything to draw: all that the chart is named after is known for at least one level."""
    needed = chart.fields if chart.key in ("frontier", "ttft_server") else chart.fields[:1]
    return any(all(row.get(name) is not None for name in needed) for row in rows)


def spec(chart: Chart, rows: Sequence[Row], labels: Sequence[str], *, log: bool | None = None) -> dict[str, Any]:
    """The chart as Vega-Lite, without data, size and config. ``log`` None: as the chart has it by itself.

    Series keep colour and stroke by their place in ``labels``. Layers are named (``band``, ``ideal``, …), so that a
    page can leave them out.
    """
    is_log = starts_log(chart, rows) if log is None else log
    draw = Drawing(chart, rows, tuple(labels), is_log and chart.kind != "lines")
    return {"$schema": SCHEMA, "data": {"name": DATA}, "layer": draw.layers()}


def starts_log(chart: Chart, rows: Sequence[Row]) -> bool:
    """Whether the axis is logarithmic until somebody asks otherwise: where the values span enough to need it."""
    if not chart.log_from:
        return False
    values = [row[chart.fields[0]] for row in rows if row.get(chart.fields[0], 0) > 0]
    return bool(values) and max(values) > chart.log_from * min(values)
