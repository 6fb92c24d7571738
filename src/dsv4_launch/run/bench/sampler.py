"""What is looked at while a point is measured: the server's /metrics, the GPUs, and how busy this machine is."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from dsv4_launch.bench.gpu import Gpus
from dsv4_launch.bench.results import GpuLoad, Server
from dsv4_launch.run.status.histogram import Histogram
from dsv4_launch.run.status.metrics import Metrics, MetricsError, scrape
from dsv4_launch.run.status.window import between
from dsv4_launch.values import to_data

EVERY_S = 1.0
# A long point keeps so many samples; beyond that every second one goes and the pace halves.
MAX_ROWS = 4_000


class Sampler:
    """Samples in a thread from `start` to `stop`; `mark` says that from now on it counts."""

    def __init__(self, base_url: str, key: str, gpus: Gpus | None, every_s: float = EVERY_S) -> None:
        self._base_url, self._key, self._gpus, self._every_s = base_url, key, gpus, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began_s = time.time()
        self.rows: list[dict[str, Any]] = []
        self.first: Metrics | None = None
        self.last: Metrics | None = None
        self.silent = 0
        self._busy: tuple[float, float] | None = None
        self.marked_s = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def mark(self) -> None:
        """The measurement proper begins: warm-up lies behind."""
        self.marked_s, self._busy = time.time(), read_busy()
        self.first = self._scrape()

    def stop(self) -> None:
        """The last look, and the end."""
        self._stop.set()
        self._thread.join(EVERY_S + 10)
        if self.first is not None:
            self.last = self._scrape() or self.last

    def moving(self) -> tuple[float, ...]:
        """Counters that grow while the server works: whoever waits compares two of these."""
        seen = self.last
        return () if seen is None else (seen.generation_tokens or 0.0, seen.prompt_tokens or 0.0)

    def machine_cpu(self) -> float | None:
        """The share of this machine's processors that was busy since `mark`."""
        before, after = self._busy, read_busy()
        if before is None or after is None or after[1] <= before[1]:
            return None
        return (after[0] - before[0]) / (after[1] - before[1])

    def restarted(self) -> bool:
        """Whether the server's counters went back since `mark`: it is another process now."""
        return self.first is not None and self.last is not None and between(self.first, self.last) is None

    def server(self) -> Server | None:
        """The server's own view since `mark`; None when it tells nothing."""
        rows = [row for row in self.rows if row["kind"] == "server" and row["unix"] >= self.marked_s]
        if self.first is None or self.last is None or self.last is self.first:
            return None
        window = between(self.first, self.last)
        if window is None:
            return None
        return Server(
            running_mean=_mean(rows, "running"),
            running_max=_max(rows, "running"),
            waiting_mean=_mean(rows, "waiting"),
            waiting_max=_max(rows, "waiting"),
            kv_usage_mean=_mean(rows, "kv_usage"),
            kv_usage_max=_max(rows, "kv_usage"),
            preemptions=window.preemptions,
            prefix_hit_ratio=window.prefix_hit_rate,
            prompt_tokens=window.prompt_tokens,
            generation_tokens=window.generation_tokens,
            requests=sum(window.finished.values()) if window.finished is not None else None,
            ttft_mean_ms=_ms(window.ttft),
            itl_mean_ms=_ms(window.itl),
            e2e_mean_ms=_ms(window.e2e),
            queue_mean_ms=_ms(window.queue),
        )

    def loads(self) -> tuple[GpuLoad, ...]:
        """What each GPU did since `mark`."""
        by_gpu: dict[int, list[Mapping[str, Any]]] = {}
        for row in self.rows:
            for gpu in row["gpus"] if row["kind"] == "gpu" and row["unix"] >= self.marked_s else ():
                by_gpu.setdefault(gpu["index"], []).append(gpu)
        return tuple(
            GpuLoad(
                index=index,
                power_mean_w=_mean(rows, "power_w"),
                power_max_w=_max(rows, "power_w"),
                sm_clock_mean_mhz=_mean(rows, "sm_clock_mhz"),
                sm_clock_min_mhz=min(
                    (float(r["sm_clock_mhz"]) for r in rows if r["sm_clock_mhz"] is not None), default=None
                ),
                memory_clock_mean_mhz=_mean(rows, "memory_clock_mhz"),
                temperature_max_c=_max(rows, "temperature_c"),
                utilization_mean=_mean(rows, "utilization"),
                throttled=tuple(sorted({reason for row in rows for reason in row["throttled"]})),
            )
            for index, rows in sorted(by_gpu.items())
        )

    def samples(self) -> list[dict[str, Any]]:
        """All samples, for the record: ``t`` seconds since the point began, ``main`` once it counted."""
        return [
            {
                "t": round(row["unix"] - self._began_s, 3),
                "main": bool(self.marked_s) and row["unix"] >= self.marked_s,
                **{name: value for name, value in row.items() if name != "unix"},
            }
            for row in self.rows
        ]

    def _run(self) -> None:
        every_s = self._every_s
        while not self._stop.wait(every_s):
            now = time.time()
            seen = self._scrape()
            if seen is not None:
                self.last = seen
                self.rows.append(
                    {
                        "unix": now,
                        "kind": "server",
                        "running": seen.running,
                        "waiting": seen.waiting,
                        "kv_usage": seen.kv_cache_usage,
                        "preemptions": seen.preemptions,
                        "generation_tokens": seen.generation_tokens,
                    }
                )
            gpus = self._gpus.sample() if self._gpus is not None else ()
            if gpus:
                self.rows.append({"unix": now, "kind": "gpu", "gpus": [to_data(gpu) for gpu in gpus]})
            if len(self.rows) > MAX_ROWS:
                self.rows, every_s = self.rows[::4] + self.rows[1::4], every_s * 2
                self.rows.sort(key=lambda row: float(row["unix"]))

    def _scrape(self) -> Metrics | None:
        try:
            seen = scrape(self._base_url, self._key)
        except MetricsError:
            self.silent += 1
            return None
        self.silent = 0
        return seen


def read_busy(path: Path = Path("/proc/stat")) -> tuple[float, float] | None:
    """Busy and all processor time of this machine, in ticks; None where it cannot be read."""
    try:
        ticks = [float(word) for word in path.read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    return sum(ticks) - sum(ticks[3:5]), sum(ticks)


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [float(row[name]) for row in rows if row.get(name) is not None]
    return round(fmean(values), 4) if values else None


def _max(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return max((float(row[name]) for row in rows if row.get(name) is not None), default=None)


def _ms(histogram: Histogram | None) -> float | None:
    mean = histogram.mean if histogram is not None else None
    return None if mean is None else round(mean * 1000, 3)
