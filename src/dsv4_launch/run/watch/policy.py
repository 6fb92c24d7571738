"""When a server is started again and when it hangs: pure, with the time handed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsv4_launch.config.watch import Watch
from dsv4_launch.run.status.metrics import Metrics


@dataclass(slots=True)
class Backoff:
    """Counts restarts and says how long to wait before the next one. Times are seconds of any one clock."""

    policy: Watch
    times: list[float] = field(default_factory=list)

    def next(self, now_s: float) -> float | None:
        """Seconds to wait before one more restart, which is counted; None when it crashes again and again."""
        self.times = self.recent(now_s)
        if len(self.times) >= self.policy.max_restarts:
            return None
        # The exponent is bounded: a float overflows at 2**1024.
        delay_s = self.policy.backoff_s * 2.0 ** min(len(self.times), 64)
        self.times.append(now_s)
        return min(delay_s, self.policy.backoff_max_s)

    def recent(self, now_s: float) -> list[float]:
        """The restarts that still count."""
        return [then_s for then_s in self.times if now_s - then_s < self.policy.restart_window_s]


@dataclass(slots=True)
class Pulse:
    """Tells a server that works from one that only looks healthy, by what its metrics count.

    The hangs that are known (deadlocks of kernels and of all-reduce) stop the engine: /health goes on answering, the
    last numbers stay. Prefill counts as progress by the KV cache that it fills.
    """

    hang_s: float
    _mark: tuple[float | None, ...] = ()
    _since_s: float | None = None
    _reported: bool = False

    def see(self, now_s: float, found: Metrics | None) -> str:
        """Why it hangs, told once for each hang ("" while it does not). ``found`` is None when it does not answer."""
        if not self.hang_s:
            return ""
        busy = found is None or (found.running or 0) + (found.waiting or 0) > 0
        mark = _mark(found) if found else self._mark
        if not busy or mark != self._mark or self._since_s is None:
            self._mark, self._since_s, self._reported = mark, now_s, False
            return ""
        quiet_s = now_s - self._since_s
        if quiet_s < self.hang_s or self._reported:
            return ""
        self._reported = True
        if found is None:
            return f"it was ready and has not answered /metrics for {quiet_s:.0f} s"
        return (
            f"{found.running or 0:.0f} requests run and {found.waiting or 0:.0f} wait, and no token was counted for "
            f"{quiet_s:.0f} s"
        )

    @property
    def hangs(self) -> bool:
        """True from the report of a hang until the next sign of life."""
        return self._reported

    def reset(self) -> None:
        """Forget what was seen: another process answers now."""
        self._mark, self._since_s, self._reported = (), None, False


def _mark(found: Metrics) -> tuple[float | None, ...]:
    """What changes while an engine works. New requests alone are no work."""
    finished = sum(found.finished.values()) if found.finished else None
    return found.generation_tokens, found.prompt_tokens, found.kv_cache_usage, finished
