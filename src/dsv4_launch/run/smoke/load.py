"""Checks of how requests are handled: long, repeated, many, cancelled, and without the key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from dsv4_launch.run.smoke import prompts, verdict
from dsv4_launch.run.smoke.endpoint import Endpoint, Metrics
from dsv4_launch.run.smoke.routes import ALWAYS, generating
from dsv4_launch.run.smoke.subject import Subject
from dsv4_launch.run.smoke.verdict import Verdict, outside, right, wrong

CONCURRENT = 32
# A cancelled request must be gone from the metrics after this; the request would run for longer.
_FREED_S, _LOOK_S = 8.0, 0.5
_ABANDONED_TOKENS = 16_384
# A cached prefix is whole blocks, 256 tokens each for this model.
_CACHED_PROMPT_TOKENS = 1_600


def long_prompt(endpoint: Endpoint, subject: Subject) -> Verdict:
    """A long prompt is taken whole and read."""
    wanted = min(subject.long_tokens, subject.context - 640) if subject.context else subject.long_tokens
    text = prompts.haystack(int(wanted * subject.characters_per_token))
    answer = endpoint.chat(prompts.ask(subject.model, text, subject.limit(128), thinking=False))
    return verdict.judge_long(answer, wanted, prompts.NEEDLE, meaning=subject.meaning)


def prefix_cache(endpoint: Endpoint, subject: Subject) -> Verdict:
    """The second time a prompt comes from the cache, as the counters tell."""
    text = prompts.long_text(int(_CACHED_PROMPT_TOKENS * subject.characters_per_token))
    body = prompts.ask(subject.model, f"Summarise in one word.\n{text}", 8, thinking=False)
    first = endpoint.chat(body)
    before = _settled(endpoint)
    second = endpoint.chat(body)
    for answer in (first, second):
        if answer.error:
            return wrong(f"no answer: {answer.error}")
    after = _settled(endpoint)
    if before is None or after is None or before.cache_hits is None or after.cache_hits is None:
        return outside("the server's /metrics do not tell of a prefix cache")
    if (after.cache_queries or 0) <= (before.cache_queries or 0):
        return outside("prefix caching is off: the server did not look into its cache")
    hits = after.cache_hits - before.cache_hits
    if hits <= 0:
        return wrong(f"a prompt of {second.prompt_tokens} tokens was sent twice, and none came from the cache", "D40")
    return right(f"{hits:.0f} of {second.prompt_tokens} tokens came from the cache")


def many(endpoint: Endpoint, subject: Subject) -> Verdict:
    """Many requests at once, each answered with its own word."""
    words = [f"word{number:02d}" for number in range(CONCURRENT)]
    bodies = [
        prompts.ask(
            subject.model, f"Reply with exactly this and nothing else: {word}", subject.limit(64), thinking=False
        )
        for word in words
    ]
    with ThreadPoolExecutor(CONCURRENT) as pool:
        answers = list(pool.map(endpoint.chat, bodies))
    return verdict.judge_many(answers, words, meaning=subject.meaning)


def cancel(endpoint: Endpoint, subject: Subject) -> Verdict:
    """A request whose client hung up is over soon, as the metrics tell."""
    before = _settled(endpoint)
    if before is None or before.running is None:
        return outside("the server's /metrics cannot be read")
    tokens = min(_ABANDONED_TOKENS, max(1, subject.context - 256)) if subject.context else _ABANDONED_TOKENS
    body = prompts.ask(subject.model, prompts.STORY, tokens, thinking=False, ignore_eos=True)
    answer = endpoint.abandon(body, after=3)
    if answer.error:
        return wrong(f"no answer: {answer.error}")
    if answer.finish:
        return outside("the request was over before it could be cancelled")
    for look in range(int(_FREED_S / _LOOK_S)):
        after = endpoint.metrics()
        if freed(before, after):
            return right()
        if look == 3:
            # An engine with nothing to do does not renew its gauges; one token makes it.
            endpoint.chat(prompts.ask(subject.model, prompts.SUM, 1, thinking=False))
        endpoint.wait(_LOOK_S)
    return wrong(f"{_FREED_S:g} s after its client hung up, the request still runs")


def freed(before: Metrics, after: Metrics | None) -> bool:
    """Whether a request that was cancelled after ``before`` is over: counted as aborted, or none more runs."""
    if after is None or after.running is None or before.running is None:
        return False
    counted = before.aborted is not None and after.aborted is not None and after.aborted > before.aborted
    return counted or after.running <= before.running


def key(endpoint: Endpoint, subject: Subject) -> Verdict:
    """Each generating route of the OpenAPI document refuses a request without the key."""
    if not subject.keyed:
        return outside("no API key was given; a server that others can reach needs one")
    document = endpoint.document("/openapi.json")
    if document is None:  # a proxy in front hides it, as it should
        seen = judge_key({path: endpoint.knock(path) for path in ALWAYS})
        why = f"{seen.why}; the OpenAPI document is hidden, so that {' and '.join(ALWAYS)} alone were asked"
        return replace(seen, why=why)
    return judge_key({path: endpoint.knock(path) for path in generating(document)})


def judge_key(statuses: dict[str, int]) -> Verdict:
    """The status of each generating route without a key. Routes that a proxy hides (404, 405) are closed too."""
    if not statuses:
        return outside("the OpenAPI document names no route that generates")
    silent = [path for path, status in statuses.items() if status == 0]
    if silent:
        return wrong(f"no answer from {', '.join(silent)}")
    if (refused := [path for path, status in statuses.items() if status in (401, 403)]) == []:
        return wrong("no route asks for the key: the server has none, or another one before it answers")
    bare = [path for path, status in statuses.items() if status not in (401, 403, 404, 405)]
    if bare:
        return wrong(f"without the key {', '.join(bare)} can be used: let a proxy publish /v1 alone")
    return right(f"{len(refused)} routes refuse a request without the key")


def _settled(endpoint: Endpoint) -> Metrics | None:
    """Metrics that have caught up with the last answer."""
    endpoint.wait(_LOOK_S)
    return endpoint.metrics()
