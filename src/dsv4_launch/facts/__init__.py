"""Facts about one host; see `dsv4_launch.facts.document`."""

from dsv4_launch.facts.document import MAX_DOCUMENT_BYTES, MAX_PROBLEMS, SCHEMA_VERSION, HostFacts
from dsv4_launch.facts.engine import Container, Docker, EngineState, Image, Native
from dsv4_launch.facts.gpu import Driver, FabricManager, Gpu, GpuProcess, Kernel, KernelError, NvLinks, RowRemap
from dsv4_launch.facts.machine import Disk, Hub, Limits, Mount, Network, Port, Snapshot, System
from dsv4_launch.facts.parts import Count, Limit, Part, Text
from dsv4_launch.facts.request import Request

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "MAX_PROBLEMS",
    "SCHEMA_VERSION",
    "Container",
    "Count",
    "Disk",
    "Docker",
    "Driver",
    "EngineState",
    "FabricManager",
    "Gpu",
    "GpuProcess",
    "HostFacts",
    "Hub",
    "Image",
    "Kernel",
    "KernelError",
    "Limit",
    "Limits",
    "Mount",
    "Native",
    "Network",
    "NvLinks",
    "Part",
    "Port",
    "Request",
    "RowRemap",
    "Snapshot",
    "System",
    "Text",
]
