"""What a watch is about, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dsv4_launch.facts import KernelError
from dsv4_launch.run.service import Driver, Seen
from dsv4_launch.run.watch.event import Event


@dataclass(frozen=True, slots=True)
class Subject:
    """What is watched, and the calls that act on it.

    ``start_again`` starts a service that has ended, or one that hangs after it was stopped. ``notify`` tells an event
    to whom the config names.
    """

    driver: Driver
    name: str
    start_again: Callable[[Seen], None]
    notify: Callable[[Event], None]
    environ: Mapping[str, str]
    host: str
    api_key: str = ""
    version: str | None = None
    gpu: str | None = None
    # What the kernel said of the GPUs since a moment; None: it is not asked.
    kernel: Callable[[str], Sequence[KernelError] | None] | None = None
    # Seconds that a start may take; 0: not known, and no start is told to hang.
    start_s: float = 0.0
    # Who launches or changes a deployment of this name now.
    changer: Callable[[str], object | None] = lambda _name: None


@dataclass(frozen=True, slots=True)
class End:
    """Why a watch is over. ``changed``: another launch has, or should have, taken the place of what was watched."""

    why: str
    changed: bool = False
