"""The log of a native service as lines: its end without reading the whole file, and what is added while it grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from dsv4_launch.run.log_lines import LineSplitter

_BLOCK = 64 * 1024
_POLL_S = 0.2


def lines(path: Path, *, tail: int | None, ended: Callable[[], bool] | None = None) -> Iterator[str]:
    """Lines without their ends; the last ``tail`` ones if given. With ``ended``, new ones until it says so."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(0 if tail is None else tail_offset(file, tail))
        splitter = LineSplitter()
        while True:
            last = ended is None or ended()  # asked before the read: what is written until then is read
            while block := file.read(_BLOCK):
                yield from map(text, splitter.feed(block))
            if last:
                break
            if path.exists() and path.stat().st_size < file.tell():
                file.seek(0)  # cut short by log rotation (copytruncate)
            time.sleep(_POLL_S)
        if splitter.rest:
            yield text(splitter.rest)


def text(line: bytes) -> str:
    """One line as a terminal would leave it: a progress bar overwrites itself with carriage returns."""
    return line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]


def tail_offset(file: BinaryIO, count: int) -> int:
    """Where the last ``count`` lines of a file begin."""
    end = position = file.seek(0, 2)
    if count <= 0:
        return end
    found = 0
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            # The newline that ends the file ends its last line; it starts no other one.
            if start + at != end - 1:
                found += 1
                if found == count:
                    return start + at + 1
        position = start
    return 0
