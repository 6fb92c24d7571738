"""The layers of a chart in Vega-Lite: bands, lines, points by status, the failed ones at the bottom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsv4_launch.bench.draw.labels import is_wide
from dsv4_launch.bench.draw.look import dash
from dsv4_launch.bench.series import MANY, STATUSES

if TYPE_CHECKING:
    from dsv4_launch.bench.draw.charts import Chart

_MOST_TICKS = 16
_FEW_POWERS = 4
# Columns of a chart that do not decide how far its axis goes.
_BESIDE = ("ideal", "ttft_mean", "per_gpu_")
# A failed point is a cross that lies on its arms.
_CROSS = "M-.8,-.5L-.5,-.8L0,-.3L.5,-.8L.8,-.5L.3,0L.8,.5L.5,.8L0,.3L-.5,.8L-.8,.5L-.3,0Z"
_SHAPES = dict(zip(STATUSES, ("circle", "triangle-up", "square", _CROSS), strict=True))
# Columns that a tooltip tells, where the rows have them.
_TOLD = {
    "output_throughput": "output tokens/s",
    "total_throughput": "total tokens/s",
    "per_gpu": "total tokens/s per GPU",
    "ttft_mean": "TTFT mean (ms)",
    "ttft_p50": "TTFT median (ms)",
    "ttft_p95": "TTFT p95 (ms)",
    "ttft_p99": "TTFT p99 (ms)",
    "server_ttft_mean": "TTFT mean by the server (ms)",
    "itl_p50": "ITL median (ms)",
    "itl_p95": "ITL p95 (ms)",
    "itl_p99": "ITL p99 (ms)",
    "tpot_mean": "TPOT mean (ms)",
    "tpot_p50": "TPOT median (ms)",
    "tpot_p95": "TPOT p95 (ms)",
    "tpot_p99": "TPOT p99 (ms)",
    "e2e_p50": "end to end median (ms)",
    "e2e_p95": "end to end p95 (ms)",
    "e2e_p99": "end to end p99 (ms)",
    "goodput": "goodput (requests/s)",
    "request_throughput": "requests/s",
    "kv_usage_mean": "KV cache in use, mean share",
    "kv_usage_max": "KV cache in use, highest share",
    "waiting_mean": "waiting, mean",
    "waiting_max": "waiting, most",
}
Layer = dict[str, Any]


def are_many(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these are so many series that their bands would hide one another."""
    return len({row["run"] for row in rows}) >= MANY


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the layers of one chart are made of."""

    chart: Chart
    rows: Sequence[Mapping[str, Any]]
    labels: tuple[str, ...]
    is_log: bool

    def layers(self) -> list[Layer]:
        """All layers, the lowest first."""
        field = self.chart.fields[0]
        if self.chart.kind == "frontier":
            return [*self._frontier(), self._points(field)]
        below = {"latency": self._bands, "scaling": self._ideal, "lines": self._thin}[self.chart.kind]()
        return [*below, self._line(field), self._points(field), self._failed()]

    def _bands(self) -> list[Layer]:
        middle, p95, p99, _ = self.chart.fields
        name = middle.removesuffix("_mid")
        bands = (
            []
            if self._many()
            else [self._between("band99", p95, p99, 0.12), self._between("band95", middle, p95, 0.24)]
        )
        rule = {"type": "rule", "strokeWidth": 2, "opacity": 0.8}
        if any(row.get("alone") for row in self.rows):
            alone = self._between("range", middle, p99, 0.4)
            alone["transform"].append({"filter": "datum.alone"})
            bands.append({**alone, "mark": {**rule, "strokeWidth": 6, "opacity": 0.3}})
        if self._has(f"{name}_lo"):
            bands.append({**self._between("repeats", f"{name}_lo", f"{name}_hi", 0.8), "mark": rule})
        return bands

    def _between(self, name: str, low: str, high: str, opacity: float) -> Layer:
        return {
            "name": name,
            "transform": [{"filter": f"isValid(datum['{low}']) && isValid(datum['{high}']) && datum['{low}'] > 0"}],
            "mark": {"type": "area", "opacity": opacity, "line": False},
            "encoding": {"x": self._x(), "y": self._y(low), "y2": {"field": high}, "color": self._color()},
        }

    def _ideal(self) -> list[Layer]:
        line = self._line("ideal", width=1.2)
        line["mark"] |= {"strokeDash": [3, 3], "opacity": 0.75, "clip": True}
        line["encoding"].pop("strokeDash")
        return [{**line, "name": "ideal"}]

    def _thin(self) -> list[Layer]:
        others = self.chart.fields[1:]
        return [{**self._line(other, width=1), "name": "thin"} for other in others if self._has(other)]

    def _line(self, field: str, width: float = 2.2) -> Layer:
        return {
            "name": "line",
            "transform": [self._drawable(field)],
            "mark": {"type": "line", "strokeWidth": width},
            "encoding": {"x": self._x(), "y": self._y(field), "color": self._color(), "strokeDash": self._stroke()},
        }

    def _frontier(self) -> list[Layer]:
        total, _ = self.chart.fields
        line = self._line(total)
        line["encoding"] |= {"x": self._x(), "order": {"field": "c", "type": "quantitative"}}
        # The number on a rim of the page's colour: it can be read where the line of another series passes.
        return [line, self._label(total, "halo"), self._label(total, "label")]

    def _label(self, field: str, style: str) -> Layer:
        tag = f"datum.{'tag_log' if self.is_log else 'tag'}"
        across = f"indexof({tag}, 'e') >= 0 ? 8 : indexof({tag}, 'w') >= 0 ? -8 : 0"
        up = f"indexof({tag}, 'n') >= 0 ? -1 : indexof({tag}, 's') >= 0 ? 1 : 0"
        mark = {
            "type": "text",
            "style": style,
            "fontSize": 11,
            "baseline": "middle",
            "align": {"expr": f"indexof({tag}, 'e') >= 0 ? 'left' : indexof({tag}, 'w') >= 0 ? 'right' : 'center'"},
            "dx": {"expr": across},
            "dy": {"expr": f"({up}) * (length({tag}) > 1 ? 8 : 12)"},
        }
        return {
            "name": style,
            "transform": [self._drawable(field), {"filter": tag}],
            "mark": mark,
            "encoding": {"x": self._x(), "y": self._y(field), "text": {"field": "c", "type": "quantitative"}},
        }

    def _points(self, field: str) -> Layer:
        found = {row["status"] for row in self.rows}
        domain = [status for status in STATUSES if status in found | {"ok"}]
        legend = {"title": None, "orient": "bottom", "columns": 2} if found - {"ok"} else None
        scale = {"domain": domain, "range": [_SHAPES[status] for status in domain]}
        return {
            "name": "points",
            "transform": [self._drawable(field), {"filter": "datum.status != 'failed'"}],
            "mark": {"type": "point", "filled": True, "size": 48, "opacity": 1, "stroke": None},
            "encoding": {
                "x": self._x(),
                "y": self._y(field),
                "color": self._color(),
                "shape": {"field": "status", "type": "nominal", "scale": scale, "legend": legend},
                "size": {"condition": {"test": "datum.status != 'ok'", "value": 130}, "value": 48},
                "tooltip": self._tooltip(),
            },
        }

    def _failed(self) -> Layer:
        """Points without figures stand as crosses on the axis of concurrency."""
        return {
            "name": "failed",
            "transform": [{"filter": "datum.status == 'failed'"}],
            "mark": {"type": "point", "shape": _CROSS, "size": 130, "filled": True, "opacity": 1},
            "encoding": {"x": self._x(), "y": {"value": "height"}, "color": self._color(), "tooltip": self._tooltip()},
        }

    def _tooltip(self) -> list[Layer]:
        said: list[Layer] = [
            {"field": "run", "type": "nominal", "title": "run"},
            {"field": "c", "type": "quantitative", "title": "concurrency"},
            {"field": "status", "type": "nominal", "title": "status"},
        ]
        if any("why" in row for row in self.rows):
            said.append({"field": "why", "type": "nominal", "title": "why"})
        prefix = tuple(name.partition("_")[0] + "_" for name in self.chart.fields)
        for field, title in _TOLD.items():
            wanted = field in self.chart.fields or (self.chart.kind == "latency" and field.startswith(prefix))
            if wanted and self._has(field):
                format_ = ".1%" if field.startswith("kv_") else ",.4~r"
                said.append({"field": field, "type": "quantitative", "title": title, "format": format_})
        if any(row["n"] > 1 for row in self.rows):
            said.append({"field": "n", "type": "quantitative", "title": "repeats"})
        return said

    def _far(self, field: str) -> bool:
        """A band that is not drawn must not stretch the axis."""
        return self._many() and field.rpartition("_")[2] in ("p95", "p99")

    def _many(self) -> bool:
        return are_many(self.rows)

    def _has(self, field: str) -> bool:
        return any(row.get(field) is not None for row in self.rows)

    def _drawable(self, field: str) -> Layer:
        """Without the rows that have no such figure, or none that a logarithmic axis can show."""
        both = (field, self.chart.fields[1]) if self.chart.kind == "frontier" else (field,)
        least = "" if self.chart.kind == "lines" else " > 0"
        return {
            "filter": " && ".join(
                f"isValid(datum['{name}'])" + (f" && datum['{name}']{least}" if least else "") for name in both
            )
        }

    def _x(self) -> Layer:
        if self.chart.kind == "frontier":
            values = [row["ttft_mean"] for row in self.rows if row.get("ttft_mean")]
            wide = is_wide(values)
            scale = {"type": "log", "nice": False} if wide else {"type": "linear", "zero": False, "nice": True}
            if wide:
                scale["domain"] = [min(values) / 1.3, max(values) * 1.3]
            axis = _axis(values if wide else ())
            title = "Average time to first token (ms)"
            return {"field": "ttft_mean", "type": "quantitative", "title": title, "scale": scale, "axis": axis}
        return _concurrency({row["c"] for row in self.rows})

    def _y(self, field: str) -> Layer:
        shown = [name for name in self.chart.fields if name not in _BESIDE and not self._far(name)]
        values = [row[name] for row in self.rows for name in shown if row.get(name) and row[name] > 0]
        scale: Layer = {"type": "linear", "zero": True, "nice": True}
        if self.is_log and values:
            scale = {"type": "log", "nice": False, "domain": [min(values) / 1.25, max(values) * 1.25]}
        elif self.chart.kind == "scaling" and values:
            scale |= {"domainMax": max(values) * 1.15}
        elif self.chart.kind == "frontier" and values:
            scale |= {"domainMax": max(values) * 1.08}  # room for the number above the highest point
        elif not values:
            scale |= {"domainMax": 1}  # an axis of zeros alone has its zero in the middle
        axis = _axis(values if self.is_log else ())
        if self.chart.key == "kv":
            axis["format"] = ".0%"
        return {"field": field, "type": "quantitative", "title": self.chart.y_title, "scale": scale, "axis": axis}

    def _color(self) -> Layer:
        legend: Layer = {"title": None, "orient": "bottom", "columns": 2 if len(self.labels) <= MANY else 4}
        legend |= {"labelLimit": 300 if len(self.labels) <= MANY else 130, "symbolType": "stroke"}
        legend |= {"symbolOpacity": 1, "symbolStrokeWidth": 2.5, "symbolSize": 250}
        return {"field": "run", "type": "nominal", "scale": {"domain": list(self.labels)}, "legend": legend}

    def _stroke(self) -> Layer:
        strokes = [dash(number) or [1, 0] for number in range(len(self.labels))]
        return {**self._color(), "scale": {"domain": list(self.labels), "range": strokes}}


def _axis(values: Sequence[float]) -> Layer:
    """An axis of figures; over ``values`` it is logarithmic and has its ticks at 1, 2 and 5 of each power of ten."""
    axis: Layer = {"format": ",~r", "tickCount": 6, "labelOverlap": "greedy"}
    if values:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        steps = (1, 2, 5) if high - low <= _FEW_POWERS else (1,)
        axis["values"] = [step * 10**power for power in range(low - 1, high + 2) for step in steps]
    return axis


def _concurrency(levels: set[int]) -> Layer:
    """Log2, with a tick at each measured level; a single one gets room at both sides."""
    values = sorted(levels)
    ticks = values
    if len(values) > _MOST_TICKS:
        ticks = [2**power for power in range(64) if values[0] <= 2**power <= values[-1]]
    edge = 1.15 if len(values) > 1 else 2
    domain = [values[0] / edge, values[-1] * edge] if values else [1, 2]
    return {
        "field": "c",
        "type": "quantitative",
        "title": "Concurrency (requests in flight)",
        "scale": {"type": "log", "base": 2, "domain": domain, "nice": False},
        "axis": {"values": ticks, "format": "d", "labelOverlap": "greedy", "labelSeparation": 3, "grid": False},
    }
