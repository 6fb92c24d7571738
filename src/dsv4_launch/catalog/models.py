"""Checkpoints of the model, as data."""

from __future__ import annotations

from functools import lru_cache

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Variant:
    """One checkpoint: where it is, how big (bytes on disk), its shape, its draft module, who serves it first."""

    key: str
    title: str
    repo: str
    architecture: str
    precision: str
    weight_bytes: int
    files: int
    layers: int
    routed_experts: int
    draft: str
    max_model_len: int
    min_vllm: str
    gated: bool
    source: str


@lru_cache
def variants() -> dict[str, Variant]:
    """Every checkpoint by its key."""
    names = [name for name in Variant.__dataclass_fields__ if name != "key"]
    return {key: Variant(key=key, **{n: row[n] for n in names}) for key, row in table("models").items()}


def by_repo(repo: str) -> Variant | None:
    """The checkpoint of a Hub repository, if the catalog has it."""
    return next((v for v in variants().values() if v.repo.lower() == repo.lower()), None)
