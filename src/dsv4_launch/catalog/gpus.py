"""GPU types that a deployment can name, as data."""

from __future__ import annotations

from functools import lru_cache

from dsv4_launch.catalog.read import table
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU type. ``names`` are NVML's exact product names; memory in MiB as NVML reports it."""

    key: str
    title: str
    names: tuple[str, ...]
    memory_mib: int
    compute_capability: str
    arch: str
    gpus_per_node: int
    # Why upstream vLLM cannot serve the model on it; empty when it can.
    unsupported: str
    source: str
    # For rehearsals without a GPU: the vLLM release and image that run them.
    rehearsal_vllm: str = ""
    rehearsal_image: str = ""


@lru_cache
def gpus() -> dict[str, Gpu]:
    """Every GPU type by its key."""
    return {
        key: Gpu(
            key=key,
            title=row["title"],
            names=tuple(row["names"]),
            memory_mib=row["memory_mib"],
            compute_capability=row["compute_capability"],
            arch=row["arch"],
            gpus_per_node=row.get("gpus_per_node", 0),
            unsupported=row.get("unsupported", ""),
            source=row["source"],
            rehearsal_vllm=row.get("vllm", ""),
            rehearsal_image=row.get("image", ""),
        )
        for key, row in table("gpus").items()
    }
