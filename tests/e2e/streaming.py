"""Clients that stream completions without a pause while something else happens to their server, and its engine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

# So long that none is over when its first tokens have come; some seconds each.
TOKENS = (1500, 2070)
# What vLLM's engine core calls itself, and what its server says when it has told it to end.
_TITLE, ENGINE_TOLD = b"VLLM::EngineCore", "send sigterm to process EngineCore"


def engines() -> set[int]:
    """The engine cores that run on this machine, in containers too, by pid."""
    found = set()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and (folder / "cmdline").read_bytes().startswith(_TITLE):
                found.add(int(folder.name))
    return found


@contextlib.contextmanager
def paused(engine: int) -> Iterator[None]:
    """Stop an engine's clock: what it works on cannot end meanwhile, however long the rest takes."""
    os.kill(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine, signal.SIGCONT)


class Stream:
    """One streamed completion, as it was read."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.finish = ""
        self.done = False
        self.error = ""

    def read(self, port: int, model: str, tokens: int, key: str) -> None:
        body = {"model": model, "prompt": "a", "max_tokens": tokens, "ignore_eos": True, "stream": True}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=150) as response:
                for line in response:
                    text = line.decode().strip().removeprefix("data: ")
                    if text == "[DONE]":
                        self.done = True
                    elif text:
                        self._take(json.loads(text))
        except OSError as error:
            self.error = str(error)

    def _take(self, data: dict[str, object]) -> None:
        match data:
            case {"choices": [{"text": str(piece), "finish_reason": finish}, *_]}:
                self.pieces.append(piece)
                self.finish = str(finish or self.finish)
            case _:
                self.error = str(data)


class Clients:
    """Each streams one completion after the other, until one is refused."""

    def __init__(self, port: int, model: str, key: str = "none") -> None:
        self.streams: list[Stream] = []
        self._threads = [
            threading.Thread(target=self._go_on, args=(port, model, tokens, key), daemon=True) for tokens in TOKENS
        ]
        for thread in self._threads:
            thread.start()

    def _go_on(self, port: int, model: str, tokens: int, key: str) -> None:
        stream = Stream()
        while not stream.error:
            stream = Stream()
            self.streams.append(stream)
            stream.read(port, model, tokens, key)

    def flow(self, timeout_s: float = 120) -> None:
        """Wait until a token of each has come."""
        deadline_s = time.monotonic() + timeout_s
        while sum(bool(stream.pieces) for stream in self.streams) < len(TOKENS):
            assert time.monotonic() < deadline_s, [stream.error for stream in self.streams]
            time.sleep(0.05)

    def assert_none_was_cut_off(self, timeout_s: float = 120) -> None:
        """Every completion that had begun came to its end; what came after was refused."""
        for thread in self._threads:
            thread.join(timeout_s)
        assert not [thread for thread in self._threads if thread.is_alive()]
        begun = [stream for stream in self.streams if stream.pieces]
        assert {(stream.error, stream.finish, stream.done) for stream in begun} == {("", "length", True)}
        assert [stream.error for stream in self.streams if not stream.pieces]
