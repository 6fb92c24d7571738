"""A vLLM server's /metrics: fetched, parsed by prometheus_client, and put into one value, summed over its engines.

Every field is None where the server does not tell it: absent is not zero. Two of these values make a
`dsv4_launch.run.status.window.Window`.
"""

from __future__ import annotations

import http.client
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dsv4_launch.catalog.metrics import Series, series
from dsv4_launch.run.status.histogram import Histogram

FETCH_S = 3.0
# A server with many engines tells about 40 kB an engine.
MAX_BYTES = 16_000_000
_BLOCK = 65_536


class MetricsError(Exception):
    """Metrics that could not be had; the text says why. Callers decide what that means."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """One scrape. ``at_s`` is the monotonic clock when it was made; counters count since the server's start.

    ``kv_cache_usage`` is a fraction, the mean of the engines; ``prefix_queries`` and ``prefix_hits`` are tokens;
    ``finished`` counts requests by vLLM's finish reason (stop, length, abort, …); histograms are in seconds.
    ``itl`` has an observation a token, ``tpot`` one a request.
    """

    at_s: float
    engines: tuple[str, ...] = ()
    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    preemptions: float | None = None
    prefix_queries: float | None = None
    prefix_hits: float | None = None
    draft_tokens: float | None = None
    accepted_tokens: float | None = None
    finished: Mapping[str, float] | None = None
    ttft: Histogram | None = None
    itl: Histogram | None = None
    tpot: Histogram | None = None
    e2e: Histogram | None = None
    queue: Histogram | None = None


def scrape(base_url: str, api_key: str = "", timeout_s: float = FETCH_S) -> Metrics:
    """Fetch and parse once, all within ``timeout_s``. Raises MetricsError."""
    body = fetch(base_url, api_key, timeout_s)
    return parse(body.decode("utf-8", "replace"), time.monotonic())


def fetch(base_url: str, api_key: str = "", timeout_s: float = FETCH_S, max_bytes: int = MAX_BYTES) -> bytes:
    """The text of /metrics, never through a proxy. Raises MetricsError: silent, refused, too slow or too much."""
    deadline_s = time.monotonic() + timeout_s
    parts = urlsplit(base_url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        try:
            connection.request("GET", f"{parts.path.rstrip('/')}/metrics", headers=headers)
            # The answer may be the connection's last word, which then has no socket any more.
            socket, response = connection.sock, connection.getresponse()
            if response.status != 200:
                raise MetricsError(f"/metrics answers {response.status}")
            body = b""
            while True:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise MetricsError(f"/metrics took longer than {timeout_s:g} s")
                socket.settimeout(left_s)
                block = response.read1(_BLOCK)
                if not block:
                    return body
                body += block
                if len(body) > max_bytes:
                    raise MetricsError(f"/metrics is longer than {max_bytes} bytes")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise MetricsError(f"{type(error).__name__}: {error}"[:200]) from None


def parse(text: str, at_s: float) -> Metrics:
    """The metrics of a text in Prometheus' format. Raises MetricsError when it is not one."""
    wanted = {name: row for row in series() for name in row.names}
    samples: dict[str, list[Any]] = defaultdict(list)
    engines: set[str] = set()
    fields: dict[str, Any] = {}
    from prometheus_client.parser import text_string_to_metric_families

    try:
        for family in text_string_to_metric_families("\n".join(_lines(text, wanted)) + "\n"):
            # A counter without the type line of its family is told under the name of its samples.
            name = family.name if family.name in wanted else family.name.removesuffix("_total")
            for sample in family.samples if name in wanted else ():
                if not sample.name.endswith("_created"):
                    samples[name].append(sample)
                    engines.add(sample.labels.get("engine", ""))
        for row in series():
            found = next((samples[name] for name in row.names if samples.get(name)), None)
            if found:
                fields[row.key] = _value(row, found)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise MetricsError(f"/metrics is not in Prometheus' format: {type(error).__name__}") from None
    return Metrics(at_s=at_s, engines=tuple(sorted(engines - {""}, key=lambda e: (len(e), e))), **fields)


def _lines(text: str, wanted: Iterable[str]) -> list[str]:
    """The lines of the series that are wanted: a server tells ten times as much, and parsing it would cost as much."""
    prefixes = tuple(start for name in wanted for start in (name, f"# TYPE {name}"))
    return [line for line in text.splitlines() if line.startswith(prefixes)]


def _value(row: Series, samples: list[Any]) -> Any:
    if row.kind == "histogram":
        return _histogram(samples)
    if row.by:
        parts: dict[str, float] = defaultdict(float)
        for sample in samples:
            parts[sample.labels.get(row.by, "")] += sample.value
        return dict(parts)
    values = [sample.value for sample in samples if math.isfinite(sample.value)]
    if not values:
        return None
    return sum(values) / len(values) if row.engines == "mean" else sum(values)


def _histogram(samples: list[Any]) -> Histogram | None:
    """The sum of the engines' histograms: all have the same bounds, since one program made them."""
    buckets: dict[float, float] = defaultdict(float)
    total = 0.0
    for sample in samples:
        if sample.name.endswith("_bucket"):
            buckets[float(sample.labels["le"])] += sample.value
        elif sample.name.endswith("_sum"):
            total += sample.value
    bounds = tuple(sorted(buckets))
    if not bounds or not math.isinf(bounds[-1]):
        return None
    return Histogram(bounds, tuple(buckets[bound] for bound in bounds), total)
