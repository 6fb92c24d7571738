"""Runs for the tests of reports: documents and results as a sweep leaves them, made of plain formulas."""

from __future__ import annotations

from typing import Any

from dsv4_launch.bench.draw.described import run_series
from dsv4_launch.bench.point import point
from dsv4_launch.bench.results import Client, Fingerprint, GpuPrint, Method, Planned, Run, Server, Side, Slo, Workload
from dsv4_launch.bench.series import Series

LEVELS = (1, 2, 4, 8, 16)


def raw(concurrency: int, repeat: int = 1, factor: float = 1.0, **changed: Any) -> dict[str, Any]:
    """What vLLM would write of a point: ten requests for each in flight, 100 tokens in, 50 out."""
    requests = 10 * concurrency
    tpot = factor * (8 + concurrency / 4) * (1 + repeat / 100)
    ttft = factor * (50 + 2 * concurrency) * (1 + repeat / 100)
    e2e = ttft + 49 * tpot
    data: dict[str, Any] = {
        "completed": requests,
        "failed": 0,
        "duration": requests / concurrency * e2e / 1000,
        "total_input_tokens": requests * 100,
        "total_output_tokens": requests * 50,
        "request_goodput": 1.0,
    }
    for name, value in (("ttft", ttft), ("tpot", tpot), ("itl", tpot), ("e2el", e2e)):
        data |= {f"mean_{name}_ms": value * 1.1, f"median_{name}_ms": value, f"std_{name}_ms": value / 10}
        data |= {f"p95_{name}_ms": value * 1.5, f"p99_{name}_ms": value * 2}
    return data | changed


def side(planned: Planned, status: str = "ok", verdict: str = "server", why: str = "") -> Side:
    """A side file in which the server agrees with the client."""
    return Side(
        key=planned.key,
        status=status,  # type: ignore[arg-type]
        why=why,
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:01:00Z",
        seconds=60.0,
        client=Client(verdict=verdict, why=("it used 98 % of its core",) if verdict == "client" else ()),  # type: ignore[arg-type]
        server=Server(waiting_mean=0.0, waiting_max=1.0, kv_usage_mean=0.2, kv_usage_max=0.3, ttft_mean_ms=50.0),
    )


def run(name: str = "one", levels: tuple[int, ...] = LEVELS, repeats: int = 1, **changed: Any) -> Run:
    """A complete run of four B200."""
    planned = tuple(
        Planned(key=f"c{level:04d}-r{repeat}", concurrency=level, repeat=repeat, num_prompts=10 * level)
        for level in levels
        for repeat in range(1, repeats + 1)
    )
    gpus = tuple(GpuPrint(index=number, name="NVIDIA B200", power_limit_w=1000.0) for number in range(4))
    known: dict[str, Any] = {
        "id": f"id-{name}",
        "created": "2026-01-01T00:00:00Z",
        "dsv4": "0.1.0",
        "name": name,
        "url": "http://127.0.0.1:8000",
        "model": "deepseek-ai/DeepSeek-V4-Flash",
        "fingerprint": Fingerprint(vllm="0.20.0", gpus=gpus, driver="580.1"),
        "workload": Workload(total_tokens=1000),
        "method": Method(repeats=repeats, slo=Slo(ttft_ms=500.0)),
        "points": planned,
        "state": "complete",
    }
    return Run(**(known | changed))


def series(
    name: str = "one",
    levels: tuple[int, ...] = LEVELS,
    repeats: int = 1,
    factor: float = 1.0,
    failed: tuple[int, ...] = (),
    limited: tuple[int, ...] = (),
    raws: dict[str, dict[str, Any]] | None = None,
    **changed: Any,
) -> Series:
    """The series of such a run; ``raws`` replaces what vLLM wrote of a point."""
    document = run(name, levels, repeats, **changed)
    measured = []
    for planned in document.points:
        data = (raws or {}).get(planned.key, raw(planned.concurrency, planned.repeat, factor))
        if planned.concurrency in failed:
            measured.append((planned, side(planned, "failed", why="The server died."), None))
            continue
        verdict = "client" if planned.concurrency in limited else "server"
        measured.append((planned, side(planned, verdict=verdict), point(planned, data, "test")))
    return run_series(document, measured)
