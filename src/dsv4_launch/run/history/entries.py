"""What a deployment has been: one entry a launch, kept where every user who may launch it sees it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from dsv4_launch.plan.explain_log import without_secrets
from dsv4_launch.plan.types import Plan
from dsv4_launch.values import to_data

SCHEMA = 1
# Entries kept for a deployment; of older ones the last that were healthy stay, for a rollback.
KEPT, KEPT_HEALTHY = 50, 3
_LONGEST_WHY = 500

Outcome = Literal["healthy", "failed", "late", "detached"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One launch. ``number`` counts a deployment's launches from 1; ``when`` is ISO 8601 UTC, of its outcome.

    ``image_digest``: registry digest of the image, its id where it has none, "" natively. ``by``: serve, apply, or the
    rollback that it was. ``outcome``: healthy, failed (``why``), late (it went on starting), detached (nobody waited).
    """

    number: int
    when: str
    user: str
    target: str
    digest: str
    vllm: str
    image: str
    image_digest: str
    outcome: str
    why: str
    by: str
    config: Mapping[str, Any]


class History(Protocol):
    """Where entries are kept. Each call raises HostError or ToolError when the place cannot be reached."""

    def entries(self, name: str) -> list[Entry]:
        """The entries of a deployment, oldest first."""

    def names(self) -> list[str]:
        """Every deployment that has entries here."""

    def add(self, name: str, entry: Entry) -> Entry:
        """Keep an entry under the next free number, which it comes back with; forget what is too old."""


def entry_of(plan: Plan, digest: str, *, user: str, image_digest: str, outcome: Outcome, why: str, by: str) -> Entry:
    """The entry of a launch that has just ended so."""
    return Entry(
        number=0,
        when=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        user=user,
        target=plan.target,
        digest=digest,
        vllm=plan.vllm,
        image=plan.container.image if plan.target == "docker" else "",
        image_digest=image_digest,
        outcome=outcome,
        why=without_secrets(why)[:_LONGEST_WHY],
        by=by,
        config=plan.config,
    )


def dump(entry: Entry) -> str:
    """An entry as JSON text."""
    return json.dumps({"version": SCHEMA, **to_data(entry)}, ensure_ascii=False)


def parse(text: str) -> Entry | None:
    """The entry that a text holds; None when it is not one, or another dsv4's."""
    try:
        data = json.loads(text)
        if data.pop("version") != SCHEMA:
            return None
        entry = Entry(**{field.name: data[field.name] for field in fields(Entry)})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    texts = (getattr(entry, f.name) for f in fields(Entry) if f.name not in ("number", "config"))
    whole = isinstance(entry.number, int) and isinstance(entry.config, dict) and all(isinstance(t, str) for t in texts)
    return entry if whole else None


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """Oldest first."""
    return sorted(entries, key=lambda entry: (entry.number, entry.when))


def too_many(entries: Sequence[Entry]) -> list[Entry]:
    """Those to forget, of entries that are ordered."""
    old = entries[:-KEPT]
    spared = [entry.number for entry in entries if entry.outcome == "healthy"][-KEPT_HEALTHY:]
    return [entry for entry in old if entry.number not in spared]


def last_healthy(entries: Sequence[Entry], *, but: str = "") -> Entry | None:
    """The newest entry that was healthy and is not of the digest ``but``."""
    return next((e for e in reversed(entries) if e.outcome == "healthy" and e.digest != but), None)


def numbered(entry: Entry, number: int) -> Entry:
    """The entry with its number."""
    return replace(entry, number=number)
