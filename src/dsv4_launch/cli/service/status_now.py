"""What a status tells of this moment: metrics over a window, GPUs, and who watches."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dsv4_launch.values import counted

if TYPE_CHECKING:
    from dsv4_launch.cli.service.statuses import Judged
    from dsv4_launch.host.nvml_now import GpuNow, Nvml
    from dsv4_launch.run.service import Seen
    from dsv4_launch.run.status.metrics import Metrics
    from dsv4_launch.run.status.status import Status


def complete(judged: Sequence[Judged], window_s: float) -> list[Status]:
    """The statuses with all that this moment tells; the window is waited for once, whatever their number."""
    from dsv4_launch.host.looking import CouldNotLook
    from dsv4_launch.host.nvml_now import Nvml

    # By place, not by name: a container and a native service may have the same one.
    first = {n: scraped(one.seen) for n, one in enumerate(judged) if one.seen and one.status.state == "ready"}
    if window_s and any(first.values()):
        time.sleep(window_s)
        last = {n: scraped(judged[n].seen) for n in first}
    else:
        first, last = {}, first
    try:
        with Nvml() as nvml:
            return [told(one, first.get(n), last.get(n), nvml) for n, one in enumerate(judged)]
    except CouldNotLook:
        return [told(one, first.get(n), last.get(n), None) for n, one in enumerate(judged)]


def told(one: Judged, before: Metrics | None, after: Metrics | None, nvml: Nvml | None) -> Status:
    """A status with its metrics, GPUs, uptime and watcher."""
    from dsv4_launch.run.status.now import serving, uptime_s
    from dsv4_launch.run.watch import lock as watch_lock
    from dsv4_launch.run.watch import state as watch_state

    seen, status = one.seen, one.status
    if seen is None:
        return status
    holder = watch_lock.holder(seen.target, seen.name)
    memory = watch_state.read(seen.target, seen.name, seen.created, os.environ)
    up = seen.life == "running"
    return replace(
        status,
        uptime_s=uptime_s(seen.started, datetime.now(UTC)) if up else None,
        watcher=str(holder) if holder else "",
        restarts=status.restarts + memory.restarts,
        last_failure=memory.last,
        serving=None if after is None else serving(before, after),
        gpus_now=gpus(seen, nvml) if up and nvml else None,
    )


def scraped(seen: Seen | None) -> Metrics | None:
    """The metrics of a service; None where they cannot be had."""
    from dsv4_launch.run.api_key import key_of
    from dsv4_launch.run.status.metrics import MetricsError, scrape
    from dsv4_launch.run.status.status import endpoint_of

    if seen is None or not seen.base_url:
        return None
    _, server = endpoint_of(seen.config)
    try:
        return scrape(seen.base_url, key_of(server, os.environ))
    except MetricsError:
        return None


def gpus(seen: Seen, nvml: Nvml) -> tuple[GpuNow, ...] | None:
    """The GPUs that a service uses; None for a rehearsal, or where its config does not tell."""
    indices = _indices(seen, nvml.count())
    return nvml.now(indices) if indices else None


def _indices(seen: Seen, count: int) -> Sequence[int]:
    config = seen.config
    if config.get("gpu") == "cpu":
        return ()
    shown = seen.gpus or config.get("gpus", "all")
    if isinstance(shown, str) and shown not in ("all", "auto"):
        shown = [int(word) for word in shown.split(",") if word.isdigit()]
    parallel = config.get("parallel") or {}
    used = 1
    for name in ("tensor", "pipeline", "data"):
        used *= int(parallel.get(name, 1))
    return list(shown)[:used] if isinstance(shown, list | tuple) else range(min(used, count))


def lines(one: Status) -> Iterable[str]:
    """A status for a person, without its first line and its drift."""
    from dsv4_launch.run.status.now import in_lines, span_text

    since = one.finished or one.started or one.created
    parts = [one.target, f"since {since[:19]}Z", f"up {span_text(one.uptime_s)}" if one.uptime_s is not None else ""]
    parts += [f"launched by {one.user}" if one.user else "", f"vLLM {one.vllm}" if one.vllm else ""]
    parts.append(f"restarted {counted(one.restarts, 'time')}" if one.restarts else "")
    yield ", ".join(part for part in parts if part)
    if one.state in ("ready", "starting") and one.base_url:
        yield f"endpoint  {one.base_url}/v1" + (f" ({', '.join(one.models)})" if one.models else "")
    if one.serving is not None:
        yield from in_lines(one.serving)
    if one.gpus_now:
        yield from (f"GPU {gpu.index:<5} {gpu_text(gpu)}" for gpu in one.gpus_now)
    elif one.gpus:
        yield f"gpus      {one.gpus}"
    yield from watch_lines(one)


def watch_lines(one: Status) -> Iterable[str]:
    """Whether somebody watches it, and what was last told of it."""
    if one.watcher:
        yield f"watched   by {one.watcher}"
    elif one.state in ("ready", "starting"):
        left = (
            "nobody sees it die or hang" if one.restart == "no" else f"restarted by {one.restart}, nobody sees a hang"
        )
        yield f"unwatched {left}: `dsv4 watch {one.name}`, or the unit of `dsv4 unit`"
    if one.last_failure:
        last = one.last_failure
        yield f"last      {str(last.get('time', ''))[:19]}Z {last.get('message', '')}. {last.get('action', '')}"


def gpu_text(gpu: GpuNow) -> str:
    """``171.2 of 179.1 GiB, 612 of 1000 W``."""
    parts = []
    if gpu.memory_used_mib is not None and gpu.memory_total_mib is not None:
        parts.append(f"{gpu.memory_used_mib / 1024:.1f} of {gpu.memory_total_mib / 1024:.1f} GiB")
    if gpu.power_w is not None:
        parts.append(f"{gpu.power_w:.0f}{f' of {gpu.power_limit_w:.0f}' if gpu.power_limit_w else ''} W")
    return ", ".join(parts) or "NVML does not tell"
