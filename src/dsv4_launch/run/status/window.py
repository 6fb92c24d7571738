"""What happened between two scrapes: rates, ratios and percentiles. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsv4_launch.run.status.histogram import Histogram
from dsv4_launch.run.status.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Window:
    """What a server did between two scrapes, ``seconds`` apart. None: it does not tell, or nothing of it happened.

    Rates are per second, the histograms hold what was observed meanwhile (seconds), hit and acceptance rates are
    fractions of the tokens that were asked for.
    """

    seconds: float
    prompt_tokens_per_s: float | None = None
    generation_tokens_per_s: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    finished: Mapping[str, float] | None = None
    preemptions: float | None = None
    prefix_hit_rate: float | None = None
    draft_acceptance_rate: float | None = None
    ttft: Histogram | None = None
    itl: Histogram | None = None
    tpot: Histogram | None = None
    e2e: Histogram | None = None
    queue: Histogram | None = None


def between(before: Metrics, after: Metrics) -> Window | None:
    """What happened from one scrape to a later one; None when the server was started again meanwhile."""
    seconds = after.at_s - before.at_s
    if seconds <= 0 or _restarted(before, after):
        return None
    prompt = _grown(before.prompt_tokens, after.prompt_tokens)
    generation = _grown(before.generation_tokens, after.generation_tokens)
    queries, hits = (
        _grown(before.prefix_queries, after.prefix_queries),
        _grown(before.prefix_hits, after.prefix_hits),
    )
    drafts = _grown(before.draft_tokens, after.draft_tokens)
    accepted = _grown(before.accepted_tokens, after.accepted_tokens)
    return Window(
        seconds=seconds,
        prompt_tokens_per_s=None if prompt is None else prompt / seconds,
        generation_tokens_per_s=None if generation is None else generation / seconds,
        prompt_tokens=prompt,
        generation_tokens=generation,
        finished=_finished(before.finished, after.finished),
        preemptions=_grown(before.preemptions, after.preemptions),
        prefix_hit_rate=_ratio(hits, queries),
        draft_acceptance_rate=_ratio(accepted, drafts),
        ttft=_since(before.ttft, after.ttft),
        itl=_since(before.itl, after.itl),
        tpot=_since(before.tpot, after.tpot),
        e2e=_since(before.e2e, after.e2e),
        queue=_since(before.queue, after.queue),
    )


def _restarted(before: Metrics, after: Metrics) -> bool:
    """True when a counter went back: counters only grow while a server lives."""
    pairs = (
        (before.prompt_tokens, after.prompt_tokens),
        (before.generation_tokens, after.generation_tokens),
        (before.prefix_queries, after.prefix_queries),
        (before.preemptions, after.preemptions),
    )
    return any(then is not None and now is not None and now < then for then, now in pairs)


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _finished(before: Mapping[str, float] | None, after: Mapping[str, float] | None) -> Mapping[str, float] | None:
    if before is None or after is None:
        return None
    return {reason: count - before.get(reason, 0.0) for reason, count in after.items()}


def _since(before: Histogram | None, after: Histogram | None) -> Histogram | None:
    return None if before is None or after is None else after.since(before)
