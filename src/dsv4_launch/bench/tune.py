"""Server configurations that are tried one after the other: what varies, what came of each, which one is best."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from dsv4_launch.bench.parts import Count, Figure, Part, Text
from dsv4_launch.bench.point import Point
from dsv4_launch.bench.results import FORMAT, Method, Slo, Workload, load_json
from dsv4_launch.bench.stop import broken_slo
from dsv4_launch.errors import InputError, UsageError

MAX_CANDIDATES: Final = 64
# Names that stand at the top of a config; any other one is an engine argument.
TOP: Final = ("parallel", "gpus", "gpu", "model", "vllm", "engine", "container", "server", "env", "target", "start")


class Best(Part):
    """One candidate at one concurrency. ``user`` is the speed that each user sees, in output tokens per second."""

    key: Text
    concurrency: Count
    total_throughput: Figure
    per_gpu: Figure
    user: Figure
    ttft_ms: Figure


class Candidate(Part):
    """One server configuration: the overrides that make it, and what came of it. ``key`` names its run directory."""

    key: Annotated[str, Field(pattern=r"^t\d{2}$")]
    overrides: tuple[Text, ...]
    state: Literal["planned", "skipped", "measured", "failed"] = "planned"
    why: Text = ""
    gpus: Count = 0
    free_gib: Figure | None = None


class Tune(Part):
    """The document of a tuning directory (tune.json)."""

    version: Literal[1] = FORMAT
    created: Text
    dsv4: Text
    config: Text
    axes: tuple[Text, ...]
    workload: Workload = Workload()
    method: Method = Method()
    concurrency: tuple[Count, ...] = ()
    candidates: tuple[Candidate, ...]
    pareto: tuple[Best, ...] = ()
    winner: Best | None = None


def candidates(axes: Sequence[str]) -> tuple[Candidate, ...]:
    """Every combination of ``PATH=VALUE,VALUE`` words, in their order. Raises UsageError."""
    parsed = [_axis(word) for word in axes]
    if not parsed:
        raise UsageError("Nothing varies.", fix="As in --vary max_num_batched_tokens=8192,16384.")
    names = [path for path, _ in parsed]
    if len(set(names)) < len(names):
        raise UsageError("Each --vary names another setting.", fix="Write all its values in one --vary.")
    made = [
        tuple(f"{path}={value}" for path, value in zip(names, values, strict=True))
        for values in itertools.product(*(values for _, values in parsed))
    ]
    if len(made) > MAX_CANDIDATES:
        raise UsageError(f"That are {len(made)} configurations.", fix=f"At most {MAX_CANDIDATES} are tried in one go.")
    return tuple(Candidate(key=f"t{number:02d}", overrides=words) for number, words in enumerate(made, 1))


def _axis(word: str) -> tuple[str, tuple[str, ...]]:
    path, equals, text = word.partition("=")
    values = tuple(_split(text))
    if not path.strip() or not equals or not values or not all(values):
        raise UsageError(f"--vary {word} names no values.", fix="As in --vary max_num_batched_tokens=8192,16384.")
    path = path.strip()
    return path if path.partition(".")[0] in TOP else f"engine.{path}", values


def _split(text: str) -> Iterable[str]:
    """Values between commas; those within braces, brackets or quotes belong to a value."""
    depth, quote, start = 0, "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
        elif character == "," and depth == 0:
            yield text[start:place].strip()
            start = place + 1
    if text.strip():
        yield text[start:].strip()


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate's points."""

    candidate: Candidate
    points: tuple[Point, ...]


def score(found: Scored) -> tuple[Best, ...]:
    """What a candidate reached at each concurrency: the mean of its repeats. Points without answers reach nothing."""
    by: dict[int, list[Point]] = {}
    for point in found.points:
        if point.completed and point.ttft is not None and point.ttft.median is not None:
            by.setdefault(point.concurrency, []).append(point)
    return tuple(
        Best(
            key=found.candidate.key,
            concurrency=concurrency,
            total_throughput=_mean(point.total_throughput for point in points),
            per_gpu=_mean(point.total_throughput for point in points) / max(1, found.candidate.gpus),
            user=_mean(1000 / p.tpot.median if p.tpot and p.tpot.median else 0.0 for p in points),
            ttft_ms=_mean(p.ttft.median if p.ttft and p.ttft.median else 0.0 for p in points),
        )
        for concurrency, points in sorted(by.items())
    )


def pareto(all_: Iterable[Best]) -> tuple[Best, ...]:
    """Those that no other one beats in tokens per second and GPU and in a user's speed; fastest for a user last."""
    front: list[Best] = []
    for best in sorted(all_, key=lambda b: (-b.per_gpu, -b.user)):
        if not front or best.user > front[-1].user:
            front.append(best)
    return tuple(front)


def winner(found: Iterable[Scored], slo: Slo) -> Best | None:
    """The most tokens per second and GPU of what keeps the SLO (medians, no failed request); None: nothing does."""
    good = []
    for scored in found:
        bad = {p.concurrency for p in scored.points if p.failed or broken_slo(slo, p)}
        good += [best for best in score(scored) if best.concurrency not in bad]
    return max(good, key=lambda b: (b.per_gpu, b.user), default=None)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def dump_tune(tune: Tune) -> str:
    """The document as text."""
    return json.dumps(tune.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def parse_tune(text: str | bytes, where: str) -> Tune:
    """The document that `dump_tune` wrote. Raises InputError."""
    data: Mapping[str, Any] = load_json(text, where)
    if data.get("version") != FORMAT:
        raise InputError(
            f"It is of another version than {FORMAT}.",
            where=where,
            fix="Go on with the dsv4 that wrote it.",
            code="bench-version",
        )
    try:
        return Tune.model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    raise InputError(f"{first['msg']}.", where=f"{where}: {'.'.join(map(str, first['loc']))}", code="bench-document")
