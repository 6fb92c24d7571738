"""GPUs and driver through NVML, by NVIDIA's own nvidia-ml-py.

Each call may fail by itself (a lost GPU, a permission, an old driver), so each failure costs one field, not the probe.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from pydantic import ValidationError

from dsv4_launch.facts import Driver, Gpu, GpuProcess
from dsv4_launch.host.looking import CouldNotLook, Note, clean, spell
from dsv4_launch.host.nvml_health import read_health

MIB = 1024 * 1024
MAX_GPUS = 1024

_FABRIC_STATES: tuple[Literal["not supported", "not started", "in progress", "completed"], ...] = (
    "not supported",
    "not started",
    "in progress",
    "completed",
)


def read_gpus(note: Note) -> tuple[tuple[Gpu, ...], Driver]:
    """Every GPU that NVML shows, and the driver.

    Errors: CouldNotLook where NVML is missing, does not start, or cannot count its devices.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise CouldNotLook(_init_reason(pynvml, error)) from error
    try:
        driver = Driver(
            version=_ask(note, "driver.version", lambda: clean(pynvml.nvmlSystemGetDriverVersion())),
            cuda_version=_ask(note, "driver.cuda_version", lambda: _cuda(pynvml.nvmlSystemGetCudaDriverVersion_v2())),
        )
        try:
            count = int(pynvml.nvmlDeviceGetCount())
        except pynvml.NVMLError as error:
            raise CouldNotLook(f"NVML cannot count the GPUs: {clean(error)}") from error
        if count > MAX_GPUS:
            raise CouldNotLook(f"NVML says that there are {count} GPUs, which cannot be")
        handles = _handles(pynvml, count, note)
        return tuple(_read_gpu(pynvml, index, handles, note) for index in range(count)), driver
    finally:
        _ask(lambda *_: None, "", pynvml.nvmlShutdown)


def _handles(nvml: Any, count: int, note: Note) -> dict[int, Any]:
    found = {
        index: _ask(note, f"gpus.{index}", partial(nvml.nvmlDeviceGetHandleByIndex, index)) for index in range(count)
    }
    return {index: handle for index, handle in found.items() if handle is not None}


def _read_gpu(nvml: Any, index: int, handles: Mapping[int, Any], note: Note) -> Gpu:
    def ask(field: str, call: Callable[[], Any]) -> Any:
        return _ask(note, f"gpus.{index}.{field}", call)

    handle = handles.get(index)
    if handle is None:
        return Gpu(index=index)
    total, free = _memory(nvml, handle, index, note)
    fabric_state, fabric_status = ask("fabric_state", lambda: _fabric(nvml, handle)) or (None, None)
    return _believed(
        note,
        index=index,
        name=ask("name", lambda: clean(nvml.nvmlDeviceGetName(handle))),
        uuid=ask("uuid", lambda: clean(nvml.nvmlDeviceGetUUID(handle))),
        memory_total_mib=total,
        memory_free_mib=free,
        compute_capability=ask("compute_capability", lambda: _capability(nvml, handle)),
        mig_mode=ask("mig_mode", lambda: _mig(nvml, handle)),
        processes=ask("processes", lambda: _processes(nvml, handle)),
        persistence_mode=ask("persistence_mode", lambda: bool(nvml.nvmlDeviceGetPersistenceMode(handle))),
        fabric_state=fabric_state,
        fabric_status=fabric_status,
        **read_health(nvml, handle, handles, index, ask),
    )


def _believed(note: Note, **fields: Any) -> Gpu:
    """A GPU of what can be true: a value that no such field may have costs that field."""
    try:
        return Gpu(**fields)
    except ValidationError as error:
        wrong = {str(item["loc"][0]) for item in error.errors(include_url=False, include_input=False)}
    for name in wrong:
        note(f"gpus.{fields['index']}.{name}", f"NVML says {clean(fields[name])[:80]}, which cannot be")
    return Gpu(**{name: value for name, value in fields.items() if name not in wrong})


def _ask(note: Note, path: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # pynvml raises more than NVMLError: undecodable names, struct surprises
        note(path, _spell(error))
        return None


def _spell(error: Exception) -> str:
    return f"NVML says: {clean(error)}" if type(error).__module__ == "pynvml" else spell(error)


def _init_reason(nvml: Any, error: Any) -> str:
    reasons = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 is not here, so no NVIDIA driver is installed",
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA kernel module is not loaded",
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "the NVIDIA library and the loaded kernel module have different versions, as after a driver upgrade"
            " without a reboot"
        ),
        nvml.NVML_ERROR_NO_PERMISSION: "this user may not talk to the NVIDIA driver",
    }
    return reasons.get(error.value, f"NVML does not start: {clean(error)}")


def _cuda(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _memory(nvml: Any, handle: Any, index: int, note: Note) -> tuple[int | None, int | None]:
    info = _ask(note, f"gpus.{index}.memory_total_mib", lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    if info is None:
        note(f"gpus.{index}.memory_free_mib", "NVML did not tell the memory of this GPU")
        return None, None
    total, free = int(info.total) // MIB, int(info.free) // MIB
    if free > total:
        note(f"gpus.{index}.memory_free_mib", f"NVML reports {free} MiB free of {total} MiB, which cannot be")
        return total, None
    return total, free


def _capability(nvml: Any, handle: Any) -> str:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return f"{major}.{minor}"


def _mig(nvml: Any, handle: Any) -> str:
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError as error:
        if error.value == nvml.NVML_ERROR_NOT_SUPPORTED:
            return "unsupported"
        raise
    return "enabled" if current == nvml.NVML_DEVICE_MIG_ENABLE else "disabled"


def _processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...]:
    found: dict[int, GpuProcess] = {}
    for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
        used = process.usedGpuMemory
        name = _ask(lambda *_: None, "", partial(_program, nvml, process.pid))
        found[process.pid] = GpuProcess(pid=process.pid, name=name, used_mib=None if used is None else used // MIB)
    return tuple(found[pid] for pid in sorted(found))


def _program(nvml: Any, pid: int) -> str | None:
    # The first word's last part: what follows are arguments, which may hold what nobody else should read.
    words = clean(nvml.nvmlSystemGetProcessName(pid)).split()
    return words[0].rsplit("/", 1)[-1] if words else None


def read_fabric_state(nvml: Any, handle: Any) -> str | None:
    """The state of the NVLink fabric of one GPU, in NVML's words."""
    return _fabric(nvml, handle)[0]


def _fabric(nvml: Any, handle: Any) -> tuple[str | None, str | None]:
    from ctypes import byref

    info = nvml.c_nvmlGpuFabricInfo_v2_t()
    try:
        nvml.nvmlDeviceGetGpuFabricInfoV(handle, byref(info))
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND):
            return "not supported", None
        raise
    state = _FABRIC_STATES[info.state] if info.state < len(_FABRIC_STATES) else None
    return state, None if info.status == nvml.NVML_SUCCESS else clean(nvml.nvmlErrorString(info.status))
