"""A client that streams a long completion while something else happens to its server."""

from __future__ import annotations

import json
import threading
import urllib.request

TOKENS = 1500


class Stream:
    """A streamed completion of so many tokens, read in the background."""

    def __init__(self, port: int, model: str, tokens: int = TOKENS) -> None:
        self.pieces: list[str] = []
        self.finish = ""
        self.done = False
        self.error = ""
        body = {"model": model, "prompt": "a", "max_tokens": tokens, "ignore_eos": True, "stream": True}
        self._request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        self.first = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            with urllib.request.urlopen(self._request, timeout=120) as response:
                for line in response:
                    text = line.decode().strip().removeprefix("data: ")
                    if text == "[DONE]":
                        self.done = True
                    elif text:
                        choice = json.loads(text)["choices"][0]
                        self.pieces.append(choice["text"])
                        self.finish = choice["finish_reason"] or self.finish
                        self.first.set()
        except OSError as error:
            self.error = str(error)
