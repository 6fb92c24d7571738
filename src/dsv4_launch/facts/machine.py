"""Facts about the machine: kernel, processor, memory, limits, file systems, ports, the Hub and the way to it."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from dsv4_launch.facts.parts import Count, Limit, Part, Text


class Limits(Part):
    """Resource limits of this process, which a native server inherits. -1: unlimited."""

    nofile_soft: Limit
    nofile_hard: Limit
    memlock_hard_bytes: Limit


class Mount(Part):
    """A local file system that can be written to: a place for weights, where another one is too small."""

    mount_point: Text
    fs_type: Text
    total_bytes: Count
    free_bytes: Count


class Network(Part):
    """The way to the Hub, looked at only when asked. `skew_s`: how far this clock is ahead of the Hub's.

    `access`: what the token may read, by repo: "yes", or the Hub's answer.
    """

    endpoint: Text
    reachable: bool
    detail: Text | None = None
    skew_s: float | None = None
    access: Mapping[str, Text] = {}


class Disk(Part):
    """The file system that holds an asked path (or its nearest existing parent, `looked_at`)."""

    path: Text
    exists: bool = True
    looked_at: Text
    mount_point: Text | None = None
    fs_type: Text | None = None
    total_bytes: Count
    free_bytes: Count
    writable: bool | None = None


class Port(Part):
    """Whether an asked address could be bound, and who listens there if not."""

    free: bool
    pid: Count | None = None
    process: Text | None = None
    detail: Text | None = None


class System(Part):
    """Kernel, processor and memory."""

    os: Text | None = None
    kernel: Text | None = None
    architecture: Text | None = None
    cpu_model: Text | None = None
    cpu_count: Count | None = None
    cpu_flags: tuple[Text, ...] | None = None
    memory_total_bytes: Count | None = None
    memory_available_bytes: Count | None = None
    shm_total_bytes: Count | None = None
    shm_free_bytes: Count | None = None
    numa_nodes: Count | None = None
    limits: Limits | None = None


class Snapshot(Part):
    """What the Hub cache holds of a model at one revision. `complete`: every file that its index names is there."""

    revision: Text | None = None
    size_bytes: Count
    complete: bool
    missing: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.complete and self.missing:
            raise ValueError("a snapshot that is complete misses nothing")
        return self


class Hub(Part):
    """The Hub cache, and whether a token is there and from where. Its value is never read into a fact."""

    cache_dir: Text | None = None
    token_present: bool | None = None
    token_source: Literal["environment", "file"] | None = None
    offline: bool | None = None
    endpoint: Text | None = None
    snapshots: Mapping[str, Snapshot | None] | None = None
