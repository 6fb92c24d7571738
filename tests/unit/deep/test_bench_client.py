"""The wrapper around vLLM's client: what it reads of its stdin."""

from __future__ import annotations

import os

import pytest

from dsv4_launch.deep.bench_client import first_line


@pytest.mark.parametrize(
    ("sent", "line", "rest"),
    [(b"key-1\nmore", "key-1", b"more"), (b"\nmore", "", b"more"), (b"cut", "cut", b""), (b"", "", b"")],
)
def test_the_first_line_is_read_and_not_a_byte_more(sent: bytes, line: str, rest: bytes) -> None:
    out, into = os.pipe()
    try:
        os.write(into, sent)
        os.close(into)
        assert first_line(out) == line
        assert os.read(out, 100) == rest
    finally:
        os.close(out)
