"""What a service does now, out of its metrics: gauges, rates of a window, percentiles. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dsv4_launch.run.status.histogram import Histogram
from dsv4_launch.run.status.metrics import Metrics
from dsv4_launch.run.status.window import Window, between

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of one histogram over a window, in seconds; ``count`` observations. None without any."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """What happened in a window of ``seconds``. None: not told, or nothing of it happened."""

    seconds: float
    prompt_tokens_per_s: float | None
    generation_tokens_per_s: float | None
    finished: Mapping[str, float] | None
    preemptions: float | None
    prefix_hit_rate: float | None
    draft_acceptance_rate: float | None
    ttft_s: Percentiles | None
    itl_s: Percentiles | None
    e2e_s: Percentiles | None
    queue_s: Percentiles | None


@dataclass(frozen=True, slots=True)
class Serving:
    """A server at work. Gauges are of now, totals since its start; ``window`` is what happened between two scrapes."""

    engines: int
    running: float | None
    waiting: float | None
    kv_cache_usage: float | None
    prompt_tokens: float | None
    generation_tokens: float | None
    preemptions: float | None
    prefix_hit_rate: float | None
    finished: Mapping[str, float] | None
    window: Load | None = None


def serving(before: Metrics | None, after: Metrics) -> Serving:
    """What two scrapes tell; one tells no rates."""
    window = None if before is None else between(before, after)
    hits, queries = after.prefix_hits, after.prefix_queries
    return Serving(
        engines=max(1, len(after.engines)),
        running=after.running,
        waiting=after.waiting,
        kv_cache_usage=after.kv_cache_usage,
        prompt_tokens=after.prompt_tokens,
        generation_tokens=after.generation_tokens,
        preemptions=after.preemptions,
        prefix_hit_rate=None if hits is None or not queries else hits / queries,
        finished=after.finished,
        window=None if window is None else load(window),
    )


def load(window: Window) -> Load:
    """A window in figures."""
    return Load(
        seconds=round(window.seconds, 3),
        prompt_tokens_per_s=window.prompt_tokens_per_s,
        generation_tokens_per_s=window.generation_tokens_per_s,
        finished=window.finished,
        preemptions=window.preemptions,
        prefix_hit_rate=window.prefix_hit_rate,
        draft_acceptance_rate=window.draft_acceptance_rate,
        ttft_s=percentiles(window.ttft),
        itl_s=percentiles(window.itl),
        e2e_s=percentiles(window.e2e),
        queue_s=percentiles(window.queue),
    )


def percentiles(found: Histogram | None) -> Percentiles | None:
    """The figures of a histogram; None when nothing was observed."""
    if found is None or found.count <= 0:
        return None
    return Percentiles(int(found.count), found.mean, *(found.quantile(q) for q in QUANTILES.values()))


def uptime_s(started: str, now: datetime) -> float | None:
    """Seconds since an ISO 8601 time (docker's have nanoseconds); None for what is none."""
    try:
        then = datetime.fromisoformat(started.split(".")[0].rstrip("Z")).replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (now - then).total_seconds())


def in_lines(found: Serving) -> list[str]:
    """The figures for a person, a subject a line."""
    first = [f"{_count(found.running)} running, {_count(found.waiting)} waiting", f"KV {_share(found.kv_cache_usage)}"]
    window = found.window
    if window is None:
        return [f"requests  {', '.join(first)}"]
    lines = [f"requests  {', '.join([*first, f'{_count(window.preemptions)} preempted'])}"]
    lines.append(
        f"tokens    {_count(window.prompt_tokens_per_s)} prompt/s, {_count(window.generation_tokens_per_s)} generated/s"
        f", prefix hits {_share(window.prefix_hit_rate)} (last {window.seconds:.0f} s)"
    )
    for name, part in (("TTFT", window.ttft_s), ("ITL", window.itl_s)):
        if part is not None:
            times = ", ".join(f"{key} {_ms(getattr(part, key))}" for key in QUANTILES)
            lines.append(f"{name:<9} {times}")
    return lines


def in_one_line(found: Serving | None) -> str:
    """The same in one line, for a log."""
    if found is None:
        return "no metrics"
    window = found.window
    parts = [f"run {_count(found.running)}", f"wait {_count(found.waiting)}", f"kv {_share(found.kv_cache_usage)}"]
    if window is not None:
        parts += [f"prompt {_count(window.prompt_tokens_per_s)}/s", f"gen {_count(window.generation_tokens_per_s)}/s"]
        parts += [f"hits {_share(window.prefix_hit_rate)}", f"preempted {_count(window.preemptions)}"]
        for name, part in (("ttft", window.ttft_s), ("itl", window.itl_s)):
            if part is not None:
                parts.append(f"{name} p50 {_ms(part.p50)} p99 {_ms(part.p99)}")
    return "  ".join(parts)


def span_text(seconds: float) -> str:
    """``3 d 04:05`` or ``4:05:06``: how long something lasts."""
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    return f"{days} d {hours:02d}:{minutes:02d}" if days else f"{hours}:{minutes:02d}:{left:02d}"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:,.0f} ms" if value < 10 else f"{value:,.1f} s"
