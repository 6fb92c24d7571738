"""A whole smoke test: every check, timed, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dsv4_launch.catalog.advisories import advisories
from dsv4_launch.errors import Problem, SmokeError
from dsv4_launch.run.smoke.checks import CHECKS
from dsv4_launch.run.smoke.endpoint import Endpoint, OpenAiEndpoint
from dsv4_launch.run.smoke.subject import Check, Subject
from dsv4_launch.run.smoke.verdict import Status, outside, wrong

_SAMPLE = "The keeper of the lighthouse notes the weather, the tide and the ships that pass. Note 17: " * 8

# After so many checks in a row without any answer the server is given up: each further one would run into its deadline.
GIVE_UP = 2

_FIX = "The server's log may say more: `dsv4 logs`, `dsv4 diagnose`."
_FIXES = {"key": "Bind the server to loopback, and let a proxy publish /v1 alone."}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check. ``advisory``: the known fault that it shows."""

    key: str
    title: str
    status: Status
    why: str
    advisory: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a smoke test found. ``random``: only the protocol was judged."""

    base_url: str
    model: str
    version: str
    random: bool
    checks: tuple[Outcome, ...]
    seconds: float

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == "fail")

    def count(self, status: Status) -> int:
        """How many checks ended so."""
        return sum(check.status == status for check in self.checks)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator decides about a smoke test. ``random`` None: true for the model of rehearsals."""

    model: str = ""
    random: bool | None = None
    long_tokens: int = 32_768
    timeout_s: float = 300.0
    skips: Mapping[str, str] | None = None


def smoke_test(base_url: str, api_key: str, wanted: Wanted, told: Callable[[Outcome], None] = lambda _: None) -> Report:
    """Test the server at ``base_url`` (without ``/v1``). A check that fails is in the report, not an error.

    Raises ToolError without the ``openai`` package, SmokeError when the server cannot be asked or lacks the model.
    """
    endpoint = OpenAiEndpoint(base_url, api_key, timeout_s=wanted.timeout_s)
    started = time.monotonic()
    try:
        listed = endpoint.models()
        subject = subject_of(listed, endpoint, wanted, keyed=bool(api_key), where=base_url)
        checks = run_checks(CHECKS, endpoint, subject, wanted.skips or {}, told, time.monotonic)
    finally:
        endpoint.close()
    seconds = round(time.monotonic() - started, 1)
    return Report(base_url, subject.model, subject.version, subject.random, checks, seconds)


def subject_of(
    listed: Sequence[Mapping[str, object]], endpoint: Endpoint, wanted: Wanted, *, keyed: bool, where: str = ""
) -> Subject:
    """What is tested: the model asked for, or the first. Raises SmokeError when the server does not have it."""
    names = [str(model.get("id")) for model in listed]
    model = wanted.model or (names[0] if names else "")
    if model not in names:
        said = f"{model} is not served" if model else "no model is served"
        raise SmokeError(f"{said}; the server has {', '.join(names) or 'none'}.", where=f"{where}/v1/models")
    told = listed[names.index(model)].get("max_model_len")
    version = endpoint.document("/version")
    release = str(version.get("version") or "") if isinstance(version, Mapping) else ""
    tokens = endpoint.tokens(model, _SAMPLE)
    return Subject(
        model=model,
        context=told if isinstance(told, int) else 0,
        version=release[:80],
        random=_is_rehearsal(listed[names.index(model)]) if wanted.random is None else wanted.random,
        keyed=keyed,
        long_tokens=wanted.long_tokens,
        characters_per_token=len(_SAMPLE) / tokens if tokens else 3.0,
    )


def _is_rehearsal(model: Mapping[str, object]) -> bool:
    """Whether it is the tiny model, from where `dsv4 rehearse` keeps it."""
    return str(model.get("root") or "").endswith("/rehearsal/model")


def run_checks(
    checks: Sequence[Check],
    endpoint: Endpoint,
    subject: Subject,
    skips: Mapping[str, str],
    told: Callable[[Outcome], None],
    now: Callable[[], float],
) -> tuple[Outcome, ...]:
    """Run the checks one after the other; ``told`` hears of each."""
    found = []
    silent = 0
    for check in checks:
        started = now()
        if check.key in skips:
            verdict = outside(f"skipped: {skips[check.key]}")
        elif silent >= GIVE_UP:
            verdict = outside("not asked any more: the server has stopped answering")
        elif subject.context and subject.context < check.context:
            verdict = outside(f"it needs a context of {check.context} tokens, this server has {subject.context}")
        else:
            try:
                verdict = check.run(endpoint, subject)
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                # What the server sent has a form that no check expects; the others still tell something.
                verdict = wrong(f"the answer cannot be read: {type(error).__name__}: {error}"[:300])
        if verdict.status != "not applicable":
            silent = silent + 1 if verdict.silent else 0
        took = round(now() - started, 2)
        outcome = Outcome(check.key, check.title, verdict.status, verdict.why, verdict.advisory, took)
        told(outcome)
        found.append(outcome)
    return tuple(found)


def problems(report: Report) -> tuple[Problem, ...]:
    """A problem for each check that failed, under the code of the known fault where it shows one."""
    fixes = {advisory.id: advisory.fix for advisory in advisories()}
    return tuple(
        Problem(
            failed.advisory or "smoke",
            f"{failed.title}: {failed.why}.",
            f"{report.base_url} ({failed.key})",
            fixes.get(failed.advisory) or _FIXES.get(failed.key, _FIX),
        )
        for failed in report.failed
    )
