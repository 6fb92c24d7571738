"""A launch as it was found in a text, whatever its form: engine words, container options, environment, places."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from dsv4_launch.convert.read.words import Fault, Span, Word
from dsv4_launch.dataclass import dataclass

Kind = Literal["docker", "native", "compose", "kubernetes", "dockerfile", "options", "argv"]


@dataclass(frozen=True, slots=True)
class Option:
    """One container option by its long name; ``value`` None for a switch. Compose says the same by keys."""

    name: str
    value: str | None
    words: tuple[Word, ...]
    opaque: bool = False

    @property
    def span(self) -> Span:
        return min(w.start for w in self.words), max(w.end for w in self.words)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable of the server; ``value`` None: handed over by name."""

    name: str
    value: str | None
    span: Span
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """``engine``: the words behind ``vllm serve``. ``program`` is what starts it (docker, podman, vllm, python…).

    ``variables``: environment in the order of the text. ``loose``: words that nothing could be made of.
    """

    kind: Kind
    program: str
    span: Span
    engine: tuple[Word, ...] = ()
    image: Word | None = None
    options: tuple[Option, ...] = ()
    variables: tuple[Variable, ...] = ()
    faults: tuple[Fault, ...] = ()
    loose: tuple[Word, ...] = ()
    name: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def contained(self) -> bool:
        """True when it runs in a container."""
        return self.kind in ("docker", "compose", "kubernetes", "dockerfile")

    @property
    def own_program(self) -> bool:
        """True when the entry point was replaced by something that is not vLLM: nothing is known of its words."""
        return self.contained and not self.engine and bool(self.loose) and self.option("entrypoint") is not None

    @property
    def on_host_network(self) -> bool:
        """True when the server listens on the machine's own addresses, and no port is published."""
        network = self.option("network")
        return not self.contained or (network is not None and network.value == "host")

    def option(self, name: str) -> Option | None:
        """The last one of a name, which is the one that counts."""
        return next((o for o in reversed(self.options) if o.name == name), None)

    def all(self, name: str) -> list[Option]:
        """Every one of a name, in order."""
        return [o for o in self.options if o.name == name]
