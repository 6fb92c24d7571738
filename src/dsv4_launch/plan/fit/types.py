"""What the memory planner is asked and what it answers."""

from __future__ import annotations

from typing import Literal

from dsv4_launch.dataclass import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Question:
    """All that the memory of one GPU follows from. ``max_model_len`` 0: the longest that fits (auto)."""

    vllm: str
    gpu: str
    arch: str
    memory_mib: int
    memory_utilization: float
    tensor: int
    data: int
    pipeline: int
    expert: bool
    draft: Literal["", "mtp", "dspark"]
    fp4_indexer: bool
    mega_moe: bool
    max_model_len: int
    model_limit: int
    max_num_batched_tokens: int
    max_num_seqs: int
    asynchronous: bool
    v2_runner: bool
    plain_rows: bool = False
    blocks_override: int = 0

    @property
    def expert_ranks(self) -> int:
        """GPUs that share the experts: tensor x data with expert parallelism or data parallelism, else tensor."""
        return self.tensor * self.data


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure that nobody can compute without running the server: it lies between low and high."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The expected value."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of the overhead in GiB. ``how``: read from source, fitted to logs, or measured in a log."""

    name: str
    gib: Interval
    how: Literal["source", "fitted", "measured"]


@dataclass(frozen=True, slots=True)
class Overhead:
    """GiB of one GPU that are neither weights nor KV cache."""

    low: float
    high: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one engine (one data-parallel rank) holds, given the memory for its KV cache.

    ``tokens`` and ``max_concurrency`` are what this release logs; ``resident_concurrency`` is how many requests of
    ``max_model_len`` are in memory at once when they decode. ``longest`` is the longest request that fits, 0 when none.
    """

    available_kv_gib: float
    num_blocks: int
    tokens: int
    max_concurrency: float
    resident_concurrency: int
    max_model_len: int
    longest: int
    fits: bool


@dataclass(frozen=True, slots=True)
class Sums:
    """Over all engines."""

    num_blocks: int
    tokens: int
    max_concurrency: float
    resident_concurrency: int


@dataclass(frozen=True, slots=True)
class MemoryFit:
    """The memory of one GPU and what it holds; of pipeline stages, the one with the least room.

    The figures at the top are those of the expected overhead (or of the measured KV memory); ``low`` and ``high`` are
    the ends of its interval. ``measured``: the KV memory was given, not estimated; then there is no interval.
    """

    regime: str
    gpu_gib: float
    usable_gib: float
    weights_gib: float
    overhead_gib: Overhead
    available_kv_gib: float
    bytes_per_block: int
    bytes_per_request: int
    num_blocks: int
    tokens: int
    max_concurrency: float
    resident_concurrency: int
    max_model_len: int
    fits: bool
    measured: bool
    engines: int
    sums: Sums
    low: Capacity
    high: Capacity

    @property
    def certainly_too_small(self) -> bool:
        """True when not even the most favourable overhead leaves room for one request of the wanted length."""
        return not self.high.fits

    @property
    def maybe_too_small(self) -> bool:
        """True when the least favourable overhead leaves no such room."""
        return not self.low.fits
