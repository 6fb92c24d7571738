"""Health and topology of one GPU through NVML: memory errors, throttling, NVLinks, peers, place in the machine."""

from collections.abc import Callable, Mapping
from typing import Any

from dsv4_launch.facts import NvLinks, RowRemap
from dsv4_launch.host.looking import clean

# Called with a field's name and what reads it; returns None, with the reason noted, where that fails.
Ask = Callable[[str, Callable[[], Any]], Any]

# Bits of the clocks' event reasons that cost speed without anybody having asked for it. The power cap is the board's
# normal working point under load, idle clocks and applications' settings are no fault.
THROTTLE_REASONS: Mapping[int, str] = {
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
NUMA_WORDS = 4  # 256 nodes


def read_health(nvml: Any, handle: Any, handles: Mapping[int, Any], index: int, ask: Ask) -> dict[str, Any]:
    """The fields of a GPU that tell its health and its place, each by itself."""
    ecc_mode = ask("ecc_mode", lambda: _ecc_mode(nvml, handle))
    counted = ecc_mode == "enabled"
    return {
        "pci_bus_id": ask("pci_bus_id", lambda: _pci(nvml, handle)),
        "numa_nodes": ask("numa_nodes", lambda: _numa(nvml, handle)),
        "ecc_mode": ecc_mode,
        "ecc_uncorrected": ask("ecc_uncorrected", lambda: _ecc(nvml, handle)) if counted else None,
        "row_remap": ask("row_remap", lambda: _rows(nvml, handle)),
        "throttled": ask("throttled", lambda: _throttled(nvml, handle)),
        "nvlinks": ask("nvlinks", lambda: _links(nvml, handle)),
        "peers": ask("peers", lambda: _peers(nvml, handle, handles, index)),
    }


def _unsupported(nvml: Any, error: Any) -> bool:
    return error.value in (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND)


def _pci(nvml: Any, handle: Any) -> str:
    # NVML writes a domain of eight digits, the kernel one of four.
    domain, _, rest = clean(nvml.nvmlDeviceGetPciInfo(handle).busId).lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def _numa(nvml: Any, handle: Any) -> tuple[int, ...]:
    try:
        words = nvml.nvmlDeviceGetMemoryAffinity(handle, NUMA_WORDS, nvml.NVML_AFFINITY_SCOPE_NODE)
    except nvml.NVMLError as error:
        if _unsupported(nvml, error):  # a machine of one node, or a guest that hides them
            return ()
        raise
    return tuple(word * 64 + bit for word, bits in enumerate(words) for bit in range(64) if bits >> bit & 1)


def _ecc_mode(nvml: Any, handle: Any) -> str:
    try:
        current, _pending = nvml.nvmlDeviceGetEccMode(handle)
    except nvml.NVMLError as error:
        if _unsupported(nvml, error):
            return "unsupported"
        raise
    return "enabled" if current else "disabled"


def _ecc(nvml: Any, handle: Any) -> int:
    return int(
        nvml.nvmlDeviceGetTotalEccErrors(handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
    )


def _rows(nvml: Any, handle: Any) -> RowRemap:
    try:
        correctable, uncorrectable, pending, failed = nvml.nvmlDeviceGetRemappedRows(handle)
    except nvml.NVMLError as error:
        if _unsupported(nvml, error):
            return RowRemap(supported=False)
        raise
    return RowRemap(correctable=correctable, uncorrectable=uncorrectable, pending=bool(pending), failed=bool(failed))


def _throttled(nvml: Any, handle: Any) -> tuple[str, ...]:
    try:
        bits = int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except nvml.NVMLError as error:
        if error.value != nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            raise
        bits = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))  # its name before driver 535
    return tuple(name for bit, name in THROTTLE_REASONS.items() if bits & bit)


def _links(nvml: Any, handle: Any) -> NvLinks:
    active = inactive = 0
    for link in range(nvml.NVML_NVLINK_MAX_LINKS):
        try:
            state = nvml.nvmlDeviceGetNvLinkState(handle, link)
        except nvml.NVMLError as error:
            # The links of a GPU are numbered from 0; the first that it does not have ends them.
            if _unsupported(nvml, error) or error.value == nvml.NVML_ERROR_INVALID_ARGUMENT:
                break
            raise
        active, inactive = (active + 1, inactive) if state else (active, inactive + 1)
    return NvLinks(active=active, inactive=inactive)


def _peers(nvml: Any, handle: Any, handles: Mapping[int, Any], index: int) -> dict[str, str]:
    return {str(other): _peer(nvml, handle, peer) for other, peer in handles.items() if other != index}


def _peer(nvml: Any, handle: Any, peer: Any) -> str:
    reasons = {
        nvml.NVML_P2P_STATUS_CHIPSET_NOT_SUPPORTED: "chipset not supported",
        nvml.NVML_P2P_STATUS_GPU_NOT_SUPPORTED: "GPU not supported",
        nvml.NVML_P2P_STATUS_IOH_TOPOLOGY_NOT_SUPPORTED: "topology not supported",
        nvml.NVML_P2P_STATUS_DISABLED_BY_REGKEY: "disabled by registry key",
        nvml.NVML_P2P_STATUS_NOT_SUPPORTED: "not supported",
    }
    # nvidia-ml-py wrote NVML_P2P_CAPS_INDEX_READ as a tuple by mistake; its value is 0.
    read = nvml.nvmlDeviceGetP2PStatus(handle, peer, 0)
    if read != nvml.NVML_P2P_STATUS_OK:
        return reasons.get(read, "unknown")
    try:
        linked = nvml.nvmlDeviceGetP2PStatus(handle, peer, nvml.NVML_P2P_CAPS_INDEX_NVLINK)
    except nvml.NVMLError:
        return "pcie"
    return "nvlink" if linked == nvml.NVML_P2P_STATUS_OK else "pcie"
