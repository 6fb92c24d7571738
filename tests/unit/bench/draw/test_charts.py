"""The charts' data against a recomputation that shares no code with them, and what a spec may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from tests.unit.bench.runs import LEVELS, raw, series

from dsv4_launch.bench.draw import look
from dsv4_launch.bench.draw.charts import BY_KEY, CHARTS, FIRST_FOUR, applies, caption, spec, starts_log
from dsv4_launch.bench.draw.rows import rows
from dsv4_launch.bench.series import Series, with_own_labels
from dsv4_launch.errors import InputError
from dsv4_launch.run.bench.series import load

NAMES = {"itl": "itl", "ttft": "ttft", "tpot": "tpot", "e2e": "e2el"}


def table(found: Series) -> dict[int, dict[str, Any]]:
    return {row["c"]: row for row in rows([found])}


def test_the_four_charts_show_what_the_raw_results_say() -> None:
    repeats = 3
    drawn = table(series(repeats=repeats))
    first = None
    for level in LEVELS:
        results = [raw(level, repeat) for repeat in range(1, repeats + 1)]
        row = drawn[level]
        for name, key in NAMES.items():
            medians = [result[f"median_{key}_ms"] for result in results]
            assert row[f"{name}_mid"] == pytest.approx(sum(medians) / repeats, rel=1e-5)
            assert (row[f"{name}_lo"], row[f"{name}_hi"]) == pytest.approx((min(medians), max(medians)), rel=1e-5)
            for part in ("p95", "p99"):
                expected = fmean(result[f"{part}_{key}_ms"] for result in results)
                assert row[f"{name}_{part}"] == pytest.approx(expected, rel=1e-5)
        out = fmean(result["total_output_tokens"] / result["duration"] for result in results)
        both = fmean(
            (result["total_output_tokens"] + result["total_input_tokens"]) / result["duration"] for result in results
        )
        first = first or out
        assert row["output_throughput"] == pytest.approx(out, rel=1e-5)
        assert row["ideal"] == pytest.approx(first * level, rel=1e-5)
        assert row["total_throughput"] == pytest.approx(both, rel=1e-5)
        assert row["per_gpu"] == pytest.approx(both / 4, rel=1e-5)
        assert row["ttft_mean"] == pytest.approx(fmean(r["mean_ttft_ms"] for r in results), rel=1e-5)


def test_the_page_starts_with_its_four_charts() -> None:
    assert tuple(chart.key for chart in CHARTS[:4]) == FIRST_FOUR


def fields(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("field"), str):
            yield node["field"]
        for value in node.values():
            yield from fields(value)
    elif isinstance(node, list):
        for value in node:
            yield from fields(value)


@pytest.mark.parametrize("key", BY_KEY)
def test_a_spec_draws_columns_that_rows_have(key: str) -> None:
    found = rows([series(repeats=2, failed=(16,), limited=(8,)), series("two", factor=2)])
    chart = BY_KEY[key]
    assert applies(chart, found)
    for log in (False, True):
        drawn = spec(chart, found, ["one", "two"], log=log)
        assert set(fields(drawn)) <= {name for row in found for name in row}
        json.dumps(drawn, allow_nan=False)
        names = [layer["name"] for layer in drawn["layer"]]
        assert len(names) == len(set(names))


def test_a_failed_level_has_a_cross_and_no_figures() -> None:
    row = table(series(failed=(16,)))[16]
    assert (row["status"], row["why"], row["n"]) == ("failed", "The server died.", 0)
    assert not [name for name in row if name.startswith(("ttft", "output", "itl"))]


def test_what_the_client_limited_is_marked_and_says_so() -> None:
    row = table(series(limited=(8,)))[8]
    assert (row["status"], row["why"]) == ("client-limited", "it used 98 % of its core")


def test_zero_successful_requests_are_a_failure_and_divide_nothing() -> None:
    nothing = {"completed": 0, "failed": 10, "duration": 0.0, "total_input_tokens": 0, "total_output_tokens": 0}
    found = series(levels=(4,), raws={"c0004-r1": nothing})
    drawn = rows([found])
    assert drawn[0]["status"] == "failed"
    assert not any(applies(chart, drawn) for chart in CHARTS)


def test_some_failed_requests_are_said() -> None:
    found = series(levels=(4,), raws={"c0004-r1": raw(4, failed=3, completed=37)})
    assert (found.samples[0].status, found.samples[0].why) == ("some requests failed", "3 of 40 requests failed.")


def test_one_point_is_drawn_with_room_around_it() -> None:
    found = rows([series(levels=(8,))])
    drawn = spec(BY_KEY["itl"], found, ["one"])
    (low, high) = drawn["layer"][-2]["encoding"]["x"]["scale"]["domain"]
    assert low < 8 < high
    assert found[0]["alone"] is True


def test_huge_and_tiny_values_stay_finite() -> None:
    found = rows([series(levels=(1, 2), raws={"c0001-r1": raw(1, factor=1e-9), "c0002-r1": raw(2, factor=1e12)})])
    for chart in CHARTS:
        if applies(chart, found):
            json.dumps(spec(chart, found, ["one"]), allow_nan=False)
    assert starts_log(BY_KEY["ttft"], found)


def test_numbers_that_no_measurement_can_be_are_not_told() -> None:
    odd = raw(1, median_ttft_ms=10**400, p99_itl_ms=1e300, mean_e2el_ms=float("nan"))
    (row,) = rows([series(levels=(1,), raws={"c0001-r1": odd})])
    assert row["ttft_mid"] == row["ttft_mean"]
    assert not {"ttft_p50", "itl_p99", "e2e_mean"} & set(row)
    for changed in (
        {"total_output_tokens": 10**400},
        {"duration": -1.0},
        {"completed": -5},
        {"duration": float("inf")},
    ):
        with pytest.raises(InputError, match="no result of `vllm bench serve`"):
            series(levels=(1,), raws={"c0001-r1": raw(1, **changed)})


def test_equal_labels_are_told_apart() -> None:
    assert [one.label for one in with_own_labels([series(), series(), series()])] == ["one", "one #2", "one #3"]


# --- colours -------------------------------------------------------------------------------------------------------

# Severe colour blindness: Machado, Oliveira and Fernandes 2009, https://doi.org/10.1109/TVCG.2009.113
BLIND = {
    "nobody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def linear(color: str) -> list[float]:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def seen(color: str, matrix: tuple[tuple[float, ...], ...]) -> list[float]:
    rgb = linear(color)
    return [min(1.0, max(0.0, sum(a * b for a, b in zip(line, rgb, strict=True)))) for line in matrix]


def lab(rgb: list[float]) -> tuple[float, float, float]:
    def f(t: float) -> float:
        return t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116

    r, g, b = rgb
    x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047)
    y = f(0.2126 * r + 0.7152 * g + 0.0722 * b)
    z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("blind", BLIND)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_differ_for_every_reader(theme: look.Theme, blind: str) -> None:
    colours = {color: lab(seen(color, BLIND[blind])) for color in look.COLORS[theme]}
    near = {(a, b): math.dist(colours[a], colours[b]) for a, b in combinations(colours, 2)}
    assert min(near.values()) > 25, min(near, key=near.__getitem__)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out_from_the_page(theme: look.Theme) -> None:
    def luminance(color: str) -> float:
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(color), strict=True))

    page = luminance(look.PAGE[theme])
    for color in (*look.COLORS[theme], look.INK[theme], look.QUIET[theme]):
        one, other = sorted((luminance(color), page))
        assert (other + 0.05) / (one + 0.05) >= 3


def test_twenty_four_series_have_a_look_of_their_own() -> None:
    looks = {(number % len(look.COLORS["light"]), tuple(look.dash(number))) for number in range(24)}
    assert len(looks) == 24


def test_the_page_has_the_same_colours_as_the_pictures() -> None:
    text = files("dsv4_launch.bench.draw").joinpath("page.css").read_text()
    for theme in ("light", "dark"):
        for number, color in enumerate(look.COLORS[theme]):
            assert f"--c{number}: {color}" in text
        assert f"--page: {look.PAGE[theme]}" in text


# --- recorded runs ---------------------------------------------------------------------------------------------------

RECORDED = Path(__file__).parents[3] / "recorded" / "bench"


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_recorded_run_is_drawn_as_its_raw_files_say(name: str) -> None:
    (found,) = load(RECORDED / name)
    raws: dict[int, list[dict[str, Any]]] = {}
    for path in sorted((RECORDED / name / "points").glob("c*-r?.json")):
        raws.setdefault(int(path.name[1:5]), []).append(json.loads(path.read_text()))
    drawn = table(found)
    assert set(drawn) == set(raws)
    for level, results in raws.items():
        good = [result for result in results if result["completed"]]
        row = drawn[level]
        for name_, key in NAMES.items():
            assert row[f"{name_}_mid"] == pytest.approx(fmean(r[f"median_{key}_ms"] for r in good), rel=1e-5)
            assert row[f"{name_}_p99"] == pytest.approx(fmean(r[f"p99_{key}_ms"] for r in good), rel=1e-5)
        assert row["ttft_mean"] == pytest.approx(fmean(r["mean_ttft_ms"] for r in good), rel=1e-5)
        # vLLM's own figures: ours must not be another calculation of them.
        assert row["total_throughput"] == pytest.approx(fmean(r["total_token_throughput"] for r in good), rel=1e-3)
        assert row["output_throughput"] == pytest.approx(fmean(r["output_throughput"] for r in good), rel=1e-3)


def test_an_axis_of_zeros_begins_at_zero() -> None:
    drawn = rows([series(levels=(1, 2))])
    idle = [row | {"waiting_mean": 0.0, "waiting_max": 0.0} for row in drawn]
    scales = [
        layer["encoding"]["y"]["scale"]
        for layer in spec(BY_KEY["queue"], idle, ["a"])["layer"]
        if "scale" in layer.get("encoding", {}).get("y", {})
    ]
    assert scales
    assert all(scale["zero"] and scale["domainMax"] == 1 for scale in scales)


def test_a_caption_promises_no_bands_where_none_are_drawn() -> None:
    for count, banded in ((3, True), (4, False)):
        drawn = rows([series(f"run {number}") for number in range(count)])
        for chart in CHARTS:
            layers = spec(chart, drawn, [f"run {number}" for number in range(count)])["layer"]
            has = any(layer["name"].startswith("band") for layer in layers)
            assert has == ("bands to" in caption(chart, drawn)) == (banded and chart.kind == "latency")
