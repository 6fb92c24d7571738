"""What is read of GPUs while something runs. `dsv4_launch.host.gpu_load` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU at one moment; None: the driver does not tell."""

    index: int
    power_w: float | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    utilization: float | None = None
    throttled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuLimits:
    """One GPU's name and its limits."""

    index: int
    name: str = ""
    memory_total_mib: int | None = None
    power_limit_w: float | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_max_mhz: int | None = None


class Gpus(Protocol):
    """The GPUs of this machine, read again and again; versions are "" where nobody tells."""

    driver: str
    cuda: str

    def limits(self) -> tuple[GpuLimits, ...]:
        """Names and limits of all GPUs."""

    def sample(self) -> tuple[GpuSample, ...]:
        """All GPUs now."""
