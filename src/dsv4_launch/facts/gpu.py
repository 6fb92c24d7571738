"""Facts about GPUs, their driver, their fabric, and what the kernel says of them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from dsv4_launch.facts.parts import Count, Part, Text


class GpuProcess(Part):
    """A process that holds memory of a GPU. `used_mib` is None where the driver does not tell (containers, MIG)."""

    pid: Count
    name: Text | None = None
    used_mib: Count | None = None


class RowRemap(Part):
    """Rows of GPU memory that spare ones replaced. `pending`: more wait for a reset. `failed`: no spare was left."""

    supported: bool = True
    correctable: Count = 0
    uncorrectable: Count = 0
    pending: bool = False
    failed: bool = False


class NvLinks(Part):
    """NVLinks of a GPU: how many are up, how many are there but down. A GPU without NVLink has 0 and 0."""

    active: Count
    inactive: Count


class Gpu(Part):
    """One GPU as NVML names and numbers it (PCI order). A field that could not be read is None.

    `ecc_uncorrected` counts since the driver was loaded (None also where `ecc_mode` is not "enabled").
    `throttled`: reasons that hold the clock down now. `peers`: how the GPU of that index is reached: "nvlink", "pcie",
    or NVML's reason why it is not.
    """

    index: Annotated[int, Field(ge=0, le=1024)]
    name: Text | None = None
    uuid: Text | None = None
    memory_total_mib: Count | None = None
    memory_free_mib: Count | None = None
    compute_capability: Annotated[str, Field(pattern=r"^\d{1,3}\.\d{1,3}$")] | None = None
    mig_mode: Literal["enabled", "disabled", "unsupported"] | None = None
    processes: tuple[GpuProcess, ...] | None = None
    persistence_mode: bool | None = None
    fabric_state: Literal["not supported", "not started", "in progress", "completed"] | None = None
    fabric_status: Text | None = None
    pci_bus_id: Text | None = None
    numa_nodes: tuple[Count, ...] | None = None
    ecc_mode: Literal["enabled", "disabled", "unsupported"] | None = None
    ecc_uncorrected: Count | None = None
    row_remap: RowRemap | None = None
    throttled: tuple[Text, ...] | None = None
    nvlinks: NvLinks | None = None
    peers: Mapping[str, Text] | None = None


class Driver(Part):
    """The NVIDIA driver, and the newest CUDA that it supports ("13.0")."""

    version: Text | None = None
    cuda_version: Text | None = None


class FabricManager(Part):
    """Fabric Manager and its subnet manager (NVLSM) on this machine. A guest or pod has none, and needs none.

    `version` is None where it is not installed. A process of another PID namespace is not seen.
    """

    installed: bool
    version: Text | None = None
    running: bool = False
    nvlsm_running: bool = False


class KernelError(Part):
    """An Xid (of a GPU) or SXid (of an NVSwitch) in the kernel log: its number, device, and how often."""

    kind: Literal["xid", "sxid"]
    number: Count
    pci: Text
    count: Count
    fatal: bool = False
    text: Text = ""


class Kernel(Part):
    """What the kernel says of the GPUs. `complete`: the log goes back to the boot. `modules`: which asked are in."""

    modules: Mapping[str, bool] | None = None
    errors: Annotated[tuple[KernelError, ...], Field(max_length=4096)] | None = None
    complete: bool | None = None
