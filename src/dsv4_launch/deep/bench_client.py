"""Runs vLLM's own command line and watches its event loop; it runs inside the environment or image that has vLLM.

    python bench_client.py [--key-on-stdin] WATCH.jsonl bench serve …

Nothing of vLLM is changed: a task in its event loop sleeps for a moment again and again, and what it oversleeps is how
late that loop was for everything else. A line is written every half second. When stdin ends, this process ends: a load
generator must not outlive whoever started it. With ``--key-on-stdin`` its first line is the server's API key: a
variable of a container would be shown by ``docker inspect``. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any, TextIO

SLEEP_S, LINE_S = 0.01, 0.5
_GONE = 143


def main(words: list[str]) -> None:
    """Run ``vllm WORDS[1:]``, watched into the file WORDS[0]."""
    if words[0] == "--key-on-stdin":
        os.environ["OPENAI_API_KEY"], words = first_line(0), words[1:]
    watch_file, sys.argv = words[0], ["vllm", *words[1:]]
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    run = asyncio.run

    def watched_run(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
        return run(_watched(main, watch_file), **options)

    asyncio.run = watched_run
    from vllm.entrypoints.cli.main import main as vllm

    sys.exit(vllm())


def first_line(descriptor: int) -> str:
    """The line that is read first, and not a byte more."""
    line = b""
    while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


def _end_with_stdin() -> None:
    # Not sys.stdin: a thread that waits in its buffer when the interpreter ends is a fatal error.
    while os.read(0, 4096):
        pass
    os._exit(_GONE)


async def _watched(main: Coroutine[Any, Any, Any], watch_file: str) -> Any:
    with open(watch_file, "w", encoding="utf-8") as out:  # noqa: PTH123
        task = asyncio.create_task(_watch(out))
        try:
            return await main
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _watch(out: TextIO) -> None:
    """Lines of ``{"t": unix s, "cpu": s of this thread, "all": s of the process, "lags": ms each}``."""
    lags: list[float] = []

    def write() -> None:
        row = {"t": time.time(), "cpu": time.thread_time(), "all": time.process_time(), "lags": lags}
        out.write(json.dumps(row) + "\n")
        out.flush()

    written = before = time.perf_counter()
    try:
        while True:
            await asyncio.sleep(SLEEP_S)
            now = time.perf_counter()
            lags.append(round(max(0.0, now - before - SLEEP_S) * 1000, 2))
            if now - written >= LINE_S:
                write()
                lags, written = [], now
            before = time.perf_counter()
    finally:
        write()


if __name__ == "__main__":
    main(sys.argv[1:])
