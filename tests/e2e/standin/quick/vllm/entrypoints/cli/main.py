"""A stand-in for `vllm bench serve` that starts at once: for tests of a sweep's life, never for figures.

Its words, its output and the keys of its result are those of the real client. QUICK_CRASH=1: it ends in a traceback.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from urllib.parse import urlsplit


async def ask(options, output_len):
    begun = time.perf_counter()
    times, error = [], ""
    try:
        parts = urlsplit(options.base_url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        body = {"model": options.model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
        data = json.dumps(body | {"max_completion_tokens": output_len}).encode()
        key = os.environ.get("OPENAI_API_KEY", "")
        head = f"POST {options.endpoint} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
        status = (await reader.readline()).decode().strip().split(" ", 2)
        if status[1:2] != ["200"]:
            error = status[2] if status[2:] else "ServerDisconnectedError"
        while not error:
            line = await reader.readline()
            if line.startswith(b"data: [DONE]"):
                break
            if not line:
                error = "ClientPayloadError"
            elif line.startswith(b"data: ") and b'"role"' not in line and b'"usage"' not in line:
                times.append(time.perf_counter() - begun)
        writer.close()
    except OSError as problem:
        error = str(problem)
    return times, error


async def main_async(options):
    gate = asyncio.Semaphore(options.max_concurrency)
    results = []

    async def one():
        async with gate:
            results.append(await ask(options, options.random_output_len))
            if results:
                sys.stderr.write(f"\r 50%|# | {len(results)}/{options.num_prompts} [00:00<00:00]")
                sys.stderr.flush()

    print("Starting initial single prompt test run...")
    print(f"Warming up with {options.num_warmups} requests...")
    await asyncio.gather(*(one() for _ in range(options.num_warmups)))
    results.clear()
    print(f"Starting main benchmark run... {options.model}", flush=True)
    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(options.num_prompts)))
    duration = time.perf_counter() - begun
    good = [times for times, error in results if not error and times]
    gaps = [b - a for times in good for a, b in pairwise(times)]
    out = {
        "duration": duration,
        "completed": len(good),
        "failed": len(results) - len(good),
        "total_input_tokens": len(good) * options.random_input_len,
        "total_output_tokens": sum(map(len, good)),
        "request_goodput": None,
        "errors": [error for _, error in results],
        "seed": options.seed,
    }
    for name, values in (
        ("ttft", [times[0] for times in good]),
        ("tpot", gaps),
        ("itl", gaps),
        ("e2el", [times[-1] for times in good]),
    ):
        ordered = sorted(values) or [0.0]
        for word, share in (("p95", 0.95), ("p99", 0.99)):
            out[f"{word}_{name}_ms"] = 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]
        out[f"mean_{name}_ms"], out[f"median_{name}_ms"] = 1000 * fmean(ordered), 1000 * median(ordered)
    (Path(options.result_dir) / options.result_filename).write_text(json.dumps(out))


def main():
    if os.environ.get("QUICK_CRASH"):
        raise ValueError("no such tokenizer")
    parser = argparse.ArgumentParser()
    for name in ("base-url", "model", "endpoint", "result-dir", "result-filename"):
        parser.add_argument(f"--{name}")
    for name in ("random-input-len", "random-output-len", "num-prompts", "max-concurrency", "num-warmups", "seed"):
        parser.add_argument(f"--{name}", type=int, default=0)
    options, _ = parser.parse_known_args(sys.argv[3:])
    asyncio.run(main_async(options))
