"""Lines out of the blocks of a log, also of one that never ends its line: pure."""

from __future__ import annotations

from collections.abc import Iterator

# Of a longer line the head and the tail are kept, so that neither memory nor time grows with it.
LONGEST_LINE = 131_072


class LineSplitter:
    """Takes blocks, gives whole lines without their ends; what has no end yet is ``rest``."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """The lines that this block ends."""
        first, *others = block.split(b"\n")
        held = _bounded(self.rest + first)
        for other in others:
            yield held
            held = _bounded(other)
        self.rest = held


def _bounded(line: bytes) -> bytes:
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else line[:half] + line[-half:]
