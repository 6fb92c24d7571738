"""Kernel, processor and memory, from /proc and /etc/os-release."""

import os
import platform
import resource
from pathlib import Path

from dsv4_launch.facts import Limits, System
from dsv4_launch.host.looking import Note, clean, spell

SHM = Path("/dev/shm")  # noqa: S108 - the memory file system itself, not a temporary file


def read_system(note: Note, root: Path = Path("/")) -> System:
    """What the kernel says about itself; a file that cannot be read costs its own fields."""

    def text(path: str, field: str) -> str:
        try:
            return (root / path).read_text(errors="replace")
        except OSError as error:
            note(f"system.{field}", spell(error))
            return ""

    cpu = _pairs(text("proc/cpuinfo", "cpu_flags"), ":")
    memory = _pairs(text("proc/meminfo", "memory_total_bytes"), ":")
    release = _pairs(text("etc/os-release", "os"), "=")
    flags = cpu.get("flags") or cpu.get("Features")
    shm_total, shm_free = _shm(note)
    return System(
        os=release.get("PRETTY_NAME", "").strip('"') or None,
        kernel=clean(platform.release()),
        architecture=clean(platform.machine()),
        cpu_model=cpu.get("model name"),
        cpu_count=len(os.sched_getaffinity(0)),
        cpu_flags=tuple(flags.split()) if flags else None,
        memory_total_bytes=_kib(memory.get("MemTotal")),
        memory_available_bytes=_kib(memory.get("MemAvailable")),
        shm_total_bytes=shm_total,
        shm_free_bytes=shm_free,
        numa_nodes=_numa_nodes(note, root),
        limits=read_limits(),
    )


def read_limits() -> Limits:
    """The resource limits of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return Limits(nofile_soft=_limit(soft), nofile_hard=_limit(hard), memlock_hard_bytes=_limit(locked))


def _limit(value: int) -> int:
    return -1 if value == resource.RLIM_INFINITY or value < 0 else value


def _numa_nodes(note: Note, root: Path) -> int | None:
    folder = root / "sys/devices/system/node"
    try:
        return len([item for item in folder.iterdir() if item.name.startswith("node") and item.name[4:].isdigit()])
    except OSError as error:
        note("system.numa_nodes", spell(error))
        return None


def _pairs(text: str, separator: str) -> dict[str, str]:
    """`key: value` lines; of a repeated key the first counts (processors repeat theirs)."""
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found:
            pairs.setdefault(key.strip(), value.strip())
    return pairs


def _kib(value: str | None) -> int | None:
    words = (value or "").split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _shm(note: Note) -> tuple[int | None, int | None]:
    try:
        space = os.statvfs(SHM)
    except OSError as error:
        note("system.shm_total_bytes", spell(error))
        return None, None
    return space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
