"""What the kernel says of the GPUs: loaded modules, and Xid and SXid errors in its log since the boot."""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from dsv4_launch.facts import Kernel, KernelError
from dsv4_launch.host.looking import Note, clean, spell

# nvidia_uvm: CUDA memory. nvidia_peermem: RDMA of other nodes. The last two: NVLSM of an HGX B200 talks through them.
MODULES = ("nvidia", "nvidia_uvm", "nvidia_peermem", "mlx5_ib", "ib_umad")
KMSG = Path("/dev/kmsg")
JOURNAL = ("journalctl", "--dmesg", "--boot", "--no-pager", "--output=cat", "--grep=SXid|Xid")
ASK_S = 4.0
MAX_ERRORS = 1000

# `NVRM: Xid (PCI:0000:1b:00): 79, pid=…, name=…, GPU has fallen off the bus.`; some drivers write the bus without its
# domain, and a MIG instance behind it. Driver 580.95.05, src/nvidia/src/kernel/gpu/rc/kernel_rc.c:382-410.
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9A-Fa-f:.]{4,20})(?: GPU-[^)]{1,30})?\): (\d{1,5})(?:, (.{0,300}))?")
# `nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Fatal, Link 30 LTSSM Fault Up`
# Driver 580.95.05, src/common/nvswitch/kernel/inc/common_nvswitch.h:163, intr_nvswitch.h:108.
_SXID = re.compile(r"nvidia-nvswitch\d+: SXid \(PCI:([0-9A-Fa-f:.]{4,20})\): (\d{1,6})(?:, (.{0,300}))?")
_PROCESS = re.compile(r"pid=\S+ ?|name=\S+ ?")


def read_kernel(note: Note, root: Path = Path("/"), kmsg: Path = KMSG) -> Kernel:
    """Modules and errors; what may not be read is None, with its reason."""
    modules = _modules(note, root)
    try:
        text, complete = read_log(kmsg)
    except OSError as error:
        asked = _journal()
        if asked is None:
            note("kernel.errors", f"{spell(error)}, and no journal tells either")
            return Kernel(modules=modules)
        text, complete = asked, True
    if not complete:
        asked = _journal()
        text, complete = (asked, True) if asked is not None else (text, False)
    return Kernel(modules=modules, errors=find_errors(text.splitlines()), complete=complete)


def records(kmsg: Path = KMSG) -> Iterator[tuple[list[str], str]]:
    """The records of the kernel's ring buffer: the fields of the head (level, number, microseconds, …), the message.

    Raises OSError where this user may not read it.
    """
    descriptor = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                record = os.read(descriptor, 8192).decode("utf-8", "replace")
            except BlockingIOError:
                return
            except BrokenPipeError:  # the buffer moved on below us; the next read takes what is there now
                continue
            if not record:
                return
            head, _, message = record.partition(";")
            yield head.split(","), message.partition("\n")[0]
    finally:
        os.close(descriptor)


def read_log(kmsg: Path = KMSG) -> tuple[str, bool]:
    """The kernel's ring buffer, and whether it still goes back to the boot.

    Errors: OSError where this user may not read it.
    """
    lines: list[str] = []
    first: int | None = None
    for fields, message in records(kmsg):
        if first is None and len(fields) > 1 and fields[1].isdigit():
            first = int(fields[1])
        lines.append(message)
    return "\n".join(lines), first == 0


def find_errors(lines: Iterable[str]) -> tuple[KernelError, ...]:
    """The Xids and SXids of a kernel log, each number of each device once, with the words of its first line.

    Names and numbers of processes are left out.
    """
    found: dict[tuple[str, int, str], KernelError] = {}
    for line in lines:
        xid = _XID.search(line)
        match = xid or _SXID.search(line)
        if match is None:
            continue
        pci, number = match.group(1).lower(), int(match.group(2))
        rest = clean(match.group(3) or "")
        key = ("xid" if xid else "sxid", number, pci)
        if key not in found and len(found) >= MAX_ERRORS:
            continue
        before = found.get(key)
        # Of an SXid the driver says itself whether it is fatal; which Xids are grave is judged where they are known.
        fatal = rest.lower().startswith("fatal") if xid is None else False
        found[key] = KernelError(
            kind="xid" if xid else "sxid",
            number=number,
            pci=pci,
            count=1 if before is None else before.count + 1,
            fatal=fatal or (before is not None and before.fatal),
            text=_PROCESS.sub("", rest).strip(" ,") if before is None else before.text,
        )
    return tuple(found.values())


def _modules(note: Note, root: Path) -> dict[str, bool] | None:
    folder = root / "sys/module"
    if not folder.is_dir():
        note("kernel.modules", f"there is no {folder}")
        return None
    return {name: (folder / name).is_dir() for name in MODULES}


def _journal() -> str | None:
    """The journal's kernel lines of this boot that name an Xid, where there is a journal that this user may read."""
    try:
        done = subprocess.run(JOURNAL, capture_output=True, text=True, timeout=ASK_S, check=False, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    # 1 with no output: nothing matched. A user outside of its groups is told so on stderr.
    denied = "not seeing" in done.stderr or "insufficient permissions" in done.stderr.lower()
    return None if denied or done.returncode > 1 or "No journal files" in done.stderr else done.stdout
