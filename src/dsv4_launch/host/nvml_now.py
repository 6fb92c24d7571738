"""What GPUs do right now: memory and power, read again and again at little cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from dsv4_launch.host.looking import CouldNotLook, spell

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GpuNow:
    """One GPU at this moment. MiB and watts; None where NVML does not tell."""

    index: int
    memory_used_mib: int | None = None
    memory_total_mib: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None


@dataclass(frozen=True, slots=True)
class FabricNow:
    """The NVLink fabric of one GPU: not supported, not started, in progress, completed; None where NVML fails."""

    index: int
    state: str | None


class Nvml:
    """NVML, open while this is entered. Raises CouldNotLook on entry where there is none."""

    def __enter__(self) -> Self:
        """Start NVML."""
        import pynvml

        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise CouldNotLook(f"NVML does not start: {spell(error)}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """Let NVML go."""
        _or_none(self._nvml.nvmlShutdown)

    def count(self) -> int:
        """How many GPUs there are; 0 where NVML does not tell."""
        return int(_or_none(self._nvml.nvmlDeviceGetCount) or 0)

    def now(self, indices: Iterable[int]) -> tuple[GpuNow, ...]:
        """These GPUs at this moment. A call that fails costs its field."""
        return tuple(self._gpu(index) for index in indices)

    def fabric(self, indices: Iterable[int]) -> tuple[FabricNow, ...]:
        """The state of the fabric of each of these GPUs."""
        from dsv4_launch.host.nvml import read_fabric_state

        return tuple(
            FabricNow(index, _or_none(partial(self._fabric_of, read_fabric_state, index))) for index in indices
        )

    def _fabric_of(self, read: Callable[[Any, Any], str | None], index: int) -> str | None:
        return read(self._nvml, self._handle(index))

    def _handle(self, index: int) -> Any:
        return self._nvml.nvmlDeviceGetHandleByIndex(index)

    def _gpu(self, index: int) -> GpuNow:
        handle = _or_none(lambda: self._handle(index))
        if handle is None:
            return GpuNow(index)
        memory = _or_none(lambda: self._nvml.nvmlDeviceGetMemoryInfo(handle))
        used = _or_none(lambda: self._nvml.nvmlDeviceGetPowerUsage(handle))
        limit = _or_none(lambda: self._nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        return GpuNow(
            index,
            None if memory is None else int(memory.used) // MIB,
            None if memory is None else int(memory.total) // MIB,
            None if used is None else used / 1000,
            None if limit is None else limit / 1000,
        )


def _or_none(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception:  # pynvml raises more than NVMLError
        return None
