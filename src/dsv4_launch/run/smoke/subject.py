"""What a smoke test tests, and what one of its checks is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dsv4_launch.run.smoke.endpoint import Endpoint
from dsv4_launch.run.smoke.verdict import Verdict

# Random weights need not come to an end: they are not waited for.
_RANDOM_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tested. ``random``: its weights are, as in a rehearsal. ``context`` 0: the server does not tell."""

    model: str
    context: int = 0
    version: str = ""
    random: bool = False
    keyed: bool = False
    long_tokens: int = 32_768
    characters_per_token: float = 3.0

    @property
    def meaning(self) -> bool:
        """Whether what it says can be judged."""
        return not self.random

    def limit(self, tokens: int) -> int:
        """A request's max_tokens: what a real answer needs, less for random weights and a short context."""
        tokens = min(tokens, _RANDOM_TOKENS) if self.random else tokens
        return max(1, min(tokens, self.context // 2)) if self.context else tokens


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``context``: the max_model_len that it needs at least."""

    key: str
    title: str
    run: Callable[[Endpoint, Subject], Verdict]
    context: int = 0


def worst(judged: Sequence[Verdict]) -> Verdict:
    """Of several verdicts on one thing the first that is worst."""
    order = {"fail": 0, "not applicable": 1, "pass": 2}
    return min(judged, key=lambda one: order[one.status])
