"""What one vLLM release accepts on its command line, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from functools import cached_property
from typing import Any, Final, Generic, TypeAlias, TypeVar

from dsv4_launch.dataclass import dataclass

# "any", "int", "float", "bool", "str", "none" · ("list", T) · ("tuple", T, …) · ("dict", K, V) · ("lit", word, …) ·
# ("cls", NAME) · ("|", T, …)
FieldType: TypeAlias = str | tuple[Any, ...]


class _NoDefault:
    """The default of an option whose default is an object, not a value."""

    def __repr__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT: Final = _NoDefault()
T = TypeVar("T")


class Lazy(Mapping[str, T], Generic[T]):
    """Entries of a table as values, each made when it is first asked for: a command uses a few of six hundred."""

    __slots__ = ("_build", "_made", "_raw")

    def __init__(self, raw: Mapping[str, Any], build: Callable[[str, Any], T]) -> None:
        self._raw, self._build = raw, build
        self._made: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._made:
            self._made[name] = self._build(name, self._raw[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a config class: its type, limits and default as vLLM's pydantic class has them.

    ``loose`` widens words: "case" takes any case, "dash" dashes for underscores, "text" a number as
    text, "auto" that word, "null" no value, "any" every word.
    """

    name: str
    type: FieldType
    bounds: Mapping[str, float] = field(default_factory=dict)
    loose: tuple[str, ...] = ()
    default: object = NO_DEFAULT

    @property
    def choices(self) -> tuple[Any, ...]:
        """The words that the field's type lists; empty when it lists none."""
        parts = self.type[1:] if self.type[0] == "|" else (self.type,)
        return tuple(word for part in parts if part[0] == "lit" for word in part[1:])


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of ``vllm serve``.

    ``kind``     int, human_int (``64k``), human_int_or_auto, float, str, json, json_or_str, bool (has a ``negative``
                 spelling), store_true, count, append, and ``custom:…`` or ``action:…`` for what is vLLM's own code
    ``flags``    every spelling that parses, the negative ones too; none for the positional model
    ``choices``  the only words the parser takes; ``known`` are words that it lists beside any other
    ``config``   the class behind a JSON option; its fields are in ``nested``
    ``lands_in`` the config field (``Class.field``) where the value ends, when that asks more than the parser does
    """

    dest: str
    flags: tuple[str, ...]
    kind: str
    nargs: int | str | None = None
    choices: tuple[Any, ...] | None = None
    default: object = NO_DEFAULT
    deprecated: bool = False
    group: str = ""
    config: str | None = None
    negative: tuple[str, ...] = ()
    optional: bool = False
    known: tuple[Any, ...] = ()
    loose: tuple[str, ...] = ()
    const: object = None
    required: bool = False
    lands_in: Field | None = None
    nested: Mapping[str, Mapping[str, Field]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The spelling to print: the first long one that does not negate, else the destination."""
        positive = [f for f in self.flags if f not in self.negative]
        return next((f for f in positive if f.startswith("--")), positive[0] if positive else self.dest)

    @property
    def fields(self) -> Mapping[str, Field]:
        """The fields of the class behind a JSON option; empty when it has none."""
        return self.nested.get(self.config, {}) if self.config else {}


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that vLLM reads: its declared type and its default, where that is a constant."""

    name: str
    type: str = ""
    default: object = NO_DEFAULT


@dataclass(frozen=True)
class FlagTable:
    """Everything that one release's parser and environment know."""

    version: str
    by_dest: Mapping[str, Flag]
    classes: Mapping[str, Mapping[str, Field]] = field(repr=False)
    env: Mapping[str, Variable] = field(repr=False)
    # What is asked of every option at once, so that none has to be made for it: the destination of each spelling, and
    # the defaults that are a number, a text, true or false.
    spellings: Mapping[str, str] = field(repr=False)
    defaults: Mapping[str, bool | int | float | str] = field(repr=False)

    @cached_property
    def by_flag(self) -> Mapping[str, Flag]:
        """Each spelling (``-tp``, ``--no-enable-x``) to its option."""
        return Lazy(self.spellings, lambda _, dest: self.by_dest[dest])

    def nested(self, config: str) -> Mapping[str, Field]:
        """The fields of a config class; empty for an unknown one."""
        return self.classes.get(config, {})

    def find(self, name: str) -> Flag | None:
        """The option that a config names: destination, or any spelling with or without dashes, or ``option.key``."""
        dest = name.lstrip("-").split(".", 1)[0].replace("-", "_")
        if dest in self.by_dest:
            return self.by_dest[dest]
        spelling = "--" + dest.replace("_", "-")
        return self.by_flag.get(spelling) or self.by_flag.get(name)
