"""The log of a native service as lines: its end without reading the whole file, and what is added while it grows."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from dsv4_launch.run.logs.lines import LineSplitter

_BLOCK = 64 * 1024
_POLL_S = 0.2
_PAGE, _SLACK = 4096, 1024 * 1024
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h


def lines(path: Path, *, tail: int | None, ended: Callable[[], bool] | None = None) -> Iterator[str]:
    """Lines without their ends; the last ``tail`` ones if given. With ``ended``, new ones until it says so."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        first = _first_line(file)
        file.seek(first if tail is None else max(first, tail_offset(file, tail)))
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


def bound(handle: int, kept_bytes: int) -> bool:
    """Give the space of a log's beginning back, so that about ``kept_bytes`` of its end stay; True when it was done.

    The beginning becomes a hole: the server goes on writing to the same file, so that no line is lost meanwhile.
    Raises OSError where the file system knows no holes.
    """
    stat = os.fstat(handle)
    if stat.st_blocks * 512 <= kept_bytes + _SLACK:
        return False
    cut = (stat.st_size - kept_bytes) // _PAGE * _PAGE
    libc = ctypes.CDLL(None, use_errno=True)
    if cut > 0 and libc.fallocate(handle, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_longlong(0), ctypes.c_longlong(cut)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return cut > 0


def _first_line(file: BinaryIO) -> int:
    """Where the first whole line begins: behind the hole that `bound` made, and the line that it cut."""
    try:
        start = os.lseek(file.fileno(), 0, os.SEEK_DATA)
    except OSError:  # an empty file, or nothing but a hole
        return 0
    if start == 0:
        return 0
    file.seek(start)
    while block := file.read(_BLOCK):
        if (end := block.find(b"\n")) >= 0:
            return file.tell() - len(block) + end + 1
    return file.tell()


def text(line: bytes) -> str:
    """One line as a terminal would leave it: a progress bar overwrites itself with carriage returns."""
    return line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]


def tail_offset(file: BinaryIO, count: int) -> int:
    """Where the last ``count`` lines of a file begin. A hole has no line ends: the search stops at it."""
    end = position = file.seek(0, 2)
    if count <= 0:
        return end
    found = 0
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        if not block.strip(b"\0"):
            return position
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            # The newline that ends the file ends its last line; it starts no other one.
            if start + at != end - 1:
                found += 1
                if found == count:
                    return start + at + 1
        position = start
    return 0
