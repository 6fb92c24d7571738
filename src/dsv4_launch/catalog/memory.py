"""What memory is spent on, as data: cache pages, how each release counts them, weights, overheads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from dsv4_launch.catalog.read import table
from dsv4_launch.catalog.version import within
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Cache:
    """One kind of cache: what a page of one layer holds. ``window`` 0: it keeps every token."""

    name: str
    layers: Literal["all", "c4", "c128"]
    tokens_per_block: int
    window: int
    states: int
    bytes_per_state: int
    groups: int


@dataclass(frozen=True, slots=True)
class Regime:
    """How a range of releases turns pages into blocks, and blocks into what it logs."""

    name: str
    vllm: str
    block: Literal["tuples", "slots", "widest"]
    check: Literal["tuples", "widest"]
    padded: bool
    concurrency: Literal["bytes", "blocks"]
    tokens: Literal["concurrency", "groups"]
    null_block: int
    in_flight: Literal["batch", "batches"]
    v2_runner: bool
    fp4_bytes_per_state: int
    source: str


@lru_cache
def caches() -> tuple[Cache, ...]:
    """Every kind of cache."""
    return tuple(
        Cache(
            name,
            row["layers"],
            row["tokens_per_block"],
            row.get("window", 0),
            row["states"],
            row["bytes_per_state"],
            row.get("groups", 1),
        )
        for name, row in table("memory")["cache"].items()
    )


@lru_cache
def regime(vllm: str) -> Regime:
    """How a release counts. Raises LookupError for a release that no row covers."""
    for row in table("memory")["regime"]:
        if within(vllm, row["vllm"]):
            return Regime(**row)
    raise LookupError(vllm)


@lru_cache
def defaults(vllm: str, memory_gib: float) -> Mapping[str, int]:
    """``max_num_batched_tokens`` and ``max_num_seqs`` of a server that is told nothing."""
    for row in table("memory")["default"]:
        if within(vllm, row["vllm"]) and memory_gib >= row["memory_gib"]:
            return {name: row[name] for name in ("max_num_batched_tokens", "max_num_seqs")}
    raise LookupError(vllm)


@lru_cache
def compress_ratios() -> tuple[int, ...]:
    """The compression ratio of every decoder layer, drafts left out."""
    row = table("memory")["layers"]
    return (*row["first"], *(row["repeat"] * row["times"]), *row["last"])


def draft_layers(draft: str) -> int:
    """How many layers a draft module adds: "", "mtp" or "dspark"."""
    return int(table("memory")["layers"][draft]) if draft else 0


def figures(name: str) -> Mapping[str, Any]:
    """One table of figures of the data file, such as ``weights`` or ``rest``."""
    found: Mapping[str, Any] = table("memory")[name]
    return found


@lru_cache
def row_for(name: str, vllm: str) -> Mapping[str, Any]:
    """The row of a list (``symmetric_buffer``) that holds for a release."""
    return next(row for row in table("memory")[name] if within(vllm, row["vllm"]))


@dataclass(frozen=True, slots=True)
class Measurement:
    """A published figure for a layout."""

    gpu: str
    tensor: int
    data: int
    vllm: str
    what: str
    source: str


@lru_cache
def measurements() -> tuple[Measurement, ...]:
    """Every published figure."""
    return tuple(Measurement(**row) for row in table("measurements")["measurement"])
