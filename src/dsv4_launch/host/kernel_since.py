"""What the kernel said of the GPUs since a moment: the Xids and SXids of one service's life."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from dsv4_launch.facts import KernelError
from dsv4_launch.host.kernel import ASK_S, KMSG, find_errors, records

_UPTIME = Path("/proc/uptime")
_JOURNAL = ("journalctl", "--dmesg", "--no-pager", "--output=cat", "--grep=SXid|Xid")


def errors_since(
    started: str, kmsg: Path = KMSG, uptime: Path = _UPTIME, now: float | None = None
) -> tuple[KernelError, ...] | None:
    """The errors since ``started`` (ISO 8601, UTC; "" for since the boot). None where no log can be read."""
    since = _epoch(started)
    now = time.time() if now is None else now
    try:
        # Records are stamped in microseconds since the boot.
        earliest = (since - now + float(uptime.read_text().split()[0])) * 1e6 if since is not None else 0.0
        return find_errors(_records(kmsg, earliest))
    except (OSError, ValueError, IndexError):
        return _journal(since)


def _epoch(started: str) -> float | None:
    try:
        return datetime.strptime(started[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _records(kmsg: Path, earliest_us: float) -> list[str]:
    """The messages of the ring buffer from a moment on. Raises OSError where this user may not read it."""
    return [
        message
        for fields, message in records(kmsg)
        if len(fields) > 2 and fields[2].isdigit() and int(fields[2]) >= earliest_us
    ]


def _journal(since: float | None) -> tuple[KernelError, ...] | None:
    words = (*_JOURNAL, f"--since=@{since:.0f}") if since is not None else (*_JOURNAL, "--boot")
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ASK_S, check=False, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    # 1 with no output: nothing matched. A user outside of its groups is told so on stderr.
    denied = "not seeing" in done.stderr or "insufficient permissions" in done.stderr.lower()
    return (
        None
        if denied or done.returncode > 1 or "No journal files" in done.stderr
        else find_errors(done.stdout.splitlines())
    )
