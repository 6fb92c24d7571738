"""How every probe reports: it returns a value, notes what it could not read, or says why it could not look at all."""

from collections.abc import Callable
from typing import TypeAlias

# Called with a dotted path of the facts ("gpus.0.mig_mode") and the reason that it is unknown.
Note: TypeAlias = Callable[[str, str], None]

# NVIDIA_REQUIRE_CUDA of an image is the longest text that has to be kept whole.
MAX_TEXT = 4000


class CouldNotLook(Exception):
    """A probe could not see its part of the host; the text is the reason, for a person."""


def clean(value: object) -> str:
    """Text that came from a driver, a daemon or a process: decoded, printable, of bounded length."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "".join(char if char.isprintable() else "�" for char in text[:MAX_TEXT].strip())


def spell(error: BaseException) -> str:
    """An exception as a short reason."""
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return clean(f"{name}{error.strerror}")
    return clean(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
