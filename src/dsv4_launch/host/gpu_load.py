"""What the GPUs do while something runs: power, clocks, temperature, and why a clock is held down. Through NVML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsv4_launch.bench.gpu import GpuLimits, GpuSample


class GpuWatch:
    """Reads GPUs again and again; without NVML it reads none and says nothing."""

    def __init__(self) -> None:
        self.driver = self.cuda = ""
        self._handles: list[Any] = []
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml: Any = pynvml
            count = pynvml.nvmlDeviceGetCount()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except Exception:  # no driver, no library, a lost GPU: pynvml raises more than NVMLError
            return
        number = _ask(pynvml.nvmlSystemGetCudaDriverVersion_v2)
        self.cuda = f"{number // 1000}.{number % 1000 // 10}" if number else ""
        self.driver = _text(_ask(pynvml.nvmlSystemGetDriverVersion))

    def limits(self) -> tuple[GpuLimits, ...]:
        """Names and limits of all GPUs."""
        return tuple(self._limits(index, handle) for index, handle in enumerate(self._handles))

    def sample(self) -> tuple[GpuSample, ...]:
        """All GPUs now."""
        return tuple(self._sample(index, handle) for index, handle in enumerate(self._handles))

    def _limits(self, index: int, handle: Any) -> GpuLimits:
        nvml = self._nvml
        memory = _ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        power = _ask(lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle))
        return GpuLimits(
            index=index,
            name=_text(_ask(lambda: nvml.nvmlDeviceGetName(handle))),
            memory_total_mib=None if memory is None else int(memory.total) // (1024 * 1024),
            power_limit_w=None if power is None else power / 1000,
            sm_clock_max_mhz=_ask(lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)),
            memory_clock_max_mhz=_ask(lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM)),
        )

    def _sample(self, index: int, handle: Any) -> GpuSample:
        nvml = self._nvml
        power = _ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        use = _ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        reasons = _ask(lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)) or 0
        return GpuSample(
            index=index,
            power_w=None if power is None else power / 1000,
            sm_clock_mhz=_ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            memory_clock_mhz=_ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
            temperature_c=_ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
            utilization=None if use is None else use.gpu / 100,
            throttled=_held_down(nvml, reasons),
        )


_REASONS = {
    "power cap": "nvmlClocksEventReasonSwPowerCap",
    "hardware slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "software thermal": "nvmlClocksEventReasonSwThermalSlowdown",
    "hardware thermal": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "power brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
    "set by an administrator": "nvmlClocksEventReasonApplicationsClocksSetting",
}


def _held_down(nvml: Any, reasons: int) -> tuple[str, ...]:
    return tuple(name for name, constant in _REASONS.items() if reasons & getattr(nvml, constant, 0))


def _ask(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception:  # each figure may be missing by itself
        return None


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
    return "".join(c for c in text if c.isprintable())[:200]
