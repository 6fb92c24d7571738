"""Xid and SXid errors out of the text of kernel logs, as dmesg, the journal and /dev/kmsg have them."""

from pathlib import Path

from dsv4_launch.facts import KernelError
from dsv4_launch.host import kernel

# The forms in which drivers of 2023 to 2026 write them, between lines of others.
LOG = """
[    0.000000] Linux version 6.8.0-60-generic (buildd@lcy02-amd64-054)
[   12.345678] nvidia: loading out-of-tree module taints kernel.
[   13.401000] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build
[ 8123.617543] nvidia-nvswitch1: SXid (PCI:0000:00:08.0): 11004, Non-fatal, Link 36 ingress invalid ACL (First)
[131453.740743] nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 20034, Fatal, Link 30 LTSSM Fault Up
[131460.000001] NVRM: Xid (PCI:0000:0F:00): 119, pid=4711, name=canary-job, Timeout waiting for RPC from GSP0!
Okt 06 17:59:27 node kernel: NVRM: Xid (PCI:0000:01:00): 79, pid=1122, GPU has fallen off the bus.
Okt 06 17:59:28 node kernel: NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.
NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.
NVRM: Xid (PCI:0000:83:00): 48
NVRM: Xid (PCI:0000:84:00 GPU-I:05 GPU-CI:00): 94, pid=7194, name=canary-job, Contained: CE User Channel (0x9).
<6>[ 900.1] NVRM: Xid (PCI:0000:83:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 05 (0x004505c6 0x00000000)
"""


def test_every_form_is_read_once_with_its_count_and_without_processes() -> None:
    found = kernel.find_errors(LOG.splitlines())
    assert [(e.kind, e.number, e.pci, e.count, e.fatal) for e in found] == [
        ("sxid", 11004, "0000:00:08.0", 1, False),
        ("sxid", 20034, "0000:00:00.0", 1, True),
        ("xid", 119, "0000:0f:00", 1, False),
        ("xid", 79, "0000:01:00", 2, False),
        ("xid", 48, "0000:83:00", 1, False),
        ("xid", 94, "0000:84:00", 1, False),
        ("xid", 149, "0000:83:00", 1, False),
    ]
    assert found[2].text == "Timeout waiting for RPC from GSP0!"
    assert "canary" not in "".join(e.text for e in found)


def test_a_log_without_errors_has_none() -> None:
    assert kernel.find_errors(["usb 1-1: new device", "NVRM: loading NVIDIA UNIX", "Xid", "SXid (PCI:): 1"]) == ()


def test_a_flood_of_errors_is_bounded() -> None:
    lines = [f"NVRM: Xid (PCI:0000:01:{n % 256:02x}): {n}, x" for n in range(5000)] * 2
    found = kernel.find_errors(lines)
    assert len(found) == kernel.MAX_ERRORS
    assert {e.count for e in found} == {2}
    assert all(isinstance(e, KernelError) for e in found)


def test_modules_are_those_that_the_kernel_has(tmp_path: Path) -> None:
    notes: dict[str, str] = {}
    assert kernel._modules(notes.__setitem__, tmp_path) is None
    assert "kernel.modules" in notes
    for name in ("nvidia", "ib_umad"):
        (tmp_path / "sys/module" / name).mkdir(parents=True)
    found = kernel._modules(notes.__setitem__, tmp_path)
    assert found == {"nvidia": True, "nvidia_uvm": False, "nvidia_peermem": False, "mlx5_ib": False, "ib_umad": True}
