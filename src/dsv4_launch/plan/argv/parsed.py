"""What a command line was read as: options with their words, and what the release refuses of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from dsv4_launch.catalog.flag_table import Flag
from dsv4_launch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the release would stop with: a code, our words for it, the option, and the words it is about."""

    code: str
    message: str
    option: str = ""
    at: tuple[int, ...] = ()
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """One option as it was given last: its words' values as text, and the indices of its words."""

    flag: Flag
    spelling: str
    values: tuple[str, ...]
    at: tuple[int, ...]

    @property
    def positive(self) -> bool:
        """False for the spelling that switches an option off."""
        return self.spelling not in self.flag.negative


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command line, read. ``given`` is by destination; ``repeated`` are options given more than once."""

    model: str | None
    given: Mapping[str, Given] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when the release's parser takes the command line."""
        return not self.refusals
