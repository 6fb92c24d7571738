"""From a workload to the points of a sweep: how many requests, which seeds, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from dsv4_launch.bench.results import Method, Planned, Workload
from dsv4_launch.errors import UsageError

# Input and output length. `inferencex`: https://github.com/SemiAnalysisAI/InferenceX measures 8k/1k among others.
PRESETS: Final[Mapping[str, tuple[int, int]]] = {
    "default": (1024, 1024),
    "inferencex": (8192, 1024),
    "long-context": (131_072, 1024),
}
CONCURRENCIES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# With 1024 tokens in and out it makes 1024 requests: the fewest that can all be in flight at the last point.
TOTAL_TOKENS: Final = 2_097_152
REQUESTS_PER_CONCURRENCY: Final = 10
MAX_CONCURRENCY: Final = 65_536
MAX_PROMPTS: Final = 10_000_000
# numpy takes no larger seed.
_SEEDS: Final = 2**32


def num_prompts(workload: Workload, concurrency: int) -> int:
    """How many requests a point sends: of the fixed token volume, or so many for each one in flight.

    Never fewer than can be in flight: else the point would not have its concurrency at any moment.
    """
    if workload.requests_per_concurrency:
        return max(1, workload.requests_per_concurrency) * concurrency
    length = max(1, workload.input_len + workload.output_len)
    return max(concurrency, -(-workload.total_tokens // length))


def plan_points(workload: Workload, method: Method, concurrencies: Iterable[int]) -> tuple[Planned, ...]:
    """The points of a sweep: each round goes through all concurrencies, so that what drifts meets all alike.

    Raises UsageError for a list that is empty, not ascending from 1, or asks for more than can be.
    """
    wanted = check_concurrencies(concurrencies)
    points = tuple(
        Planned(
            key=f"c{concurrency:04d}-r{repeat}",
            concurrency=concurrency,
            repeat=repeat,
            num_prompts=num_prompts(workload, concurrency),
            warmups=method.warmup_per_concurrency * concurrency,
            seed=seed(workload.seed, concurrency, repeat),
        )
        for repeat in range(1, method.repeats + 1)
        for concurrency in wanted
    )
    most = max(point.num_prompts for point in points)
    if most > MAX_PROMPTS:
        raise UsageError(f"A point would send {most} requests.", fix=f"At most {MAX_PROMPTS} make sense.")
    return points


def check_concurrencies(concurrencies: Iterable[int]) -> tuple[int, ...]:
    """The list in ascending order, each once. Raises UsageError."""
    wanted = tuple(sorted(set(concurrencies)))
    if not wanted:
        raise UsageError("No concurrency is asked for.", fix="As in --concurrency 1,8,64.")
    if wanted[0] < 1 or wanted[-1] > MAX_CONCURRENCY:
        raise UsageError(f"A concurrency is a number from 1 to {MAX_CONCURRENCY}.", fix="As in --concurrency 1,8,64.")
    return wanted


def seed(base: int, concurrency: int, repeat: int) -> int:
    """Another seed for every point: the server would answer the same prompts from its prefix cache."""
    return (base * 1_000_003 + concurrency * 101 + repeat) % _SEEDS


def parse_concurrencies(text: str) -> tuple[int, ...]:
    """``1,2,4`` or ``1..64`` (powers of two, both ends included). Raises UsageError."""
    numbers: list[int] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, dots, last = part.partition("..")
        ends = [end.strip() for end in ((first, last) if dots else (first,))]
        if not all(end.isascii() and end.isdigit() for end in ends):
            what = "range" if dots else "number"
            raise UsageError(f"--concurrency {text}: {part} is no {what}.", fix="As in 1,8,64 or 1..1024.")
        # Longer numbers than this are out of bounds anyway, and Python refuses to read very long ones.
        low, high = (int(end) if len(end) < 10 else MAX_CONCURRENCY + 1 for end in (ends[0], ends[-1]))
        check_concurrencies((low, high))
        if low > high:
            raise UsageError(f"--concurrency {text}: {part} begins above its end.", fix=f"As in {high}..{low}.")
        numbers += _doubling(low, high) if dots else [low]
    return check_concurrencies(numbers)


def _doubling(low: int, high: int) -> list[int]:
    found = [low]
    while found[-1] * 2 <= high:
        found.append(found[-1] * 2)
    return found if found[-1] == high else [*found, high]
