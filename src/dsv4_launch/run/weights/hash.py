"""Whether a file is the one that its blob's name promises: LFS files by SHA-256, small ones by git's SHA-1."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_CHUNK: Final = 4 * 1024 * 1024


def blob_of(pointer: Path) -> str:
    """The blob's name of a file in a snapshot: that of the link's first target; "" when it is no link."""
    try:
        return Path(os.readlink(pointer)).name  # noqa: PTH115 - one step only: a shared blob is a link again
    except OSError:
        return ""


def can_check(blob: str) -> bool:
    """True when the name is a hash."""
    return len(blob) in (40, 64) and all(c in "0123456789abcdef" for c in blob)


def matches(path: Path, blob: str, moved: Callable[[int], None] | None = None) -> bool:
    """True when the file's content hashes to its blob's name. Raises OSError when it cannot be read."""
    return digest(path, blob, moved) == blob


def digest(path: Path, blob: str, moved: Callable[[int], None] | None = None) -> str:
    """The content's hash, of the kind that a blob of this name has; ``moved`` hears of every few megabytes."""
    if len(blob) == 64:
        state = hashlib.sha256()
    else:  # as `git hash-object` has it
        state = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            state.update(view[:count])
            if moved:
                moved(count)
    return state.hexdigest()
