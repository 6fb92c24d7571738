"""A stop of real vLLM lets a running request finish, and refuses what comes after."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.native_box import Box, boxes, real_home

pytestmark = [pytest.mark.timeout(420), pytest.mark.vllm]
TOKENS = 1500


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    yield from boxes(tmp_path, real_home())


class Stream:
    """A streamed completion of so many tokens, read in the background."""

    def __init__(self, port: int) -> None:
        self.pieces: list[str] = []
        self.finish = ""
        self.done = False
        self.error = ""
        body = {"model": "tiny", "prompt": "a", "max_tokens": TOKENS, "ignore_eos": True, "stream": True}
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


def test_a_running_stream_finishes_during_a_stop(box: Box) -> None:
    text = box.config.read_text().replace(f'"executable": {json.dumps(str(box.vllm))}, ', "")
    box.config.write_text(text.replace("server: {", 'server: {"served_model_name": "tiny", '))
    served = box.serve("--detach")
    assert served.returncode == 0, served.stderr
    box.wait_for("ready", 300)
    stream = Stream(box.port)
    assert stream.first.wait(60)
    stopping = box.start("stop", box.name)
    stopping.communicate(timeout=150)
    stream.thread.join(60)
    assert (stopping.returncode, stream.error) == (0, "")
    assert (stream.finish, stream.done) == ("length", True), len(stream.pieces)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{box.port}/health", timeout=5)
    box.assert_gone()
