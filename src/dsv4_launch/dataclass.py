"""``@dataclass(frozen=True, slots=True)`` without the compiler: the same classes, made ten times as fast.

Python's own writes six functions as text and compiles them, for every class: a millisecond a class on Python 3.11, and
with sixty classes a fifth of a short command. Here these functions are closures over the names of the fields. Whoever
looks (`dataclasses.fields` and `replace`, pydantic, a type checker) sees a dataclass of Python's own.

Left out, since nothing here needs it: inheritance, ``__post_init__``, ``InitVar``, ``kw_only``, ``field(init=False)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

_T = TypeVar("_T")

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type[_T] | None = None, /, **options: bool) -> Any:
        """Make a dataclass: a frozen one with slots here, any other one by Python's own."""
        return _made if options == {"frozen": True, "slots": True} else dataclasses.dataclass(cls, **options)


def _made(cls: type[_T]) -> type[_T]:
    made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields = dataclasses.fields(made)  # type: ignore[arg-type]
    setters = [made.__dict__[field.name].__set__ for field in fields]
    defaults = tuple(field.default for field in fields)
    # Those behind the last field that has no plain default may be left out of a call.
    least = max((n for n, default in enumerate(defaults, start=1) if default is MISSING), default=0)
    state = _values_of([field.name for field in fields])
    compared = _values_of([field.name for field in fields if field.compare])
    shown = [field.name for field in fields if field.repr]

    def init(self: Any, *args: Any, **named: Any) -> None:
        if named or len(args) != len(defaults):
            plain = not named and least <= len(args) < len(defaults)
            args = args + defaults[len(args) :] if plain else _completed(made.__name__, fields, args, named)
        for put, value in zip(setters, args):  # noqa: B905 - as many as there are fields, or it was refused
            put(self, value)

    def equal(self: Any, other: object) -> Any:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    methods: dict[str, Callable[..., Any]] = {
        "__init__": init,
        "__eq__": equal,
        "__hash__": lambda self: hash(compared(self)),
        "__repr__": lambda self: f"{made.__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in shown)})",
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        # Without these copying and pickling would set attributes.
        "__getstate__": lambda self: state(self),
        "__setstate__": lambda self, values: init(self, *values),
    }
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


def _refuse(_self: Any, name: str, *_value: Any) -> NoReturn:
    raise FrozenInstanceError(f"cannot change field {name!r}")


def _completed(cls: str, fields: Sequence[Field[Any]], args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """A value for every field: from the words of a call, else its default. Raises TypeError as a call does."""
    values = list(args)
    for field in fields[len(args) :]:
        if field.name in named:
            values.append(named.pop(field.name))
        elif field.default is not MISSING:
            values.append(field.default)
        elif field.default_factory is not MISSING:
            values.append(field.default_factory())
        else:
            raise TypeError(f"{cls}() is missing {field.name!r}")
    if named or len(values) > len(fields):
        raise TypeError(f"{cls}() takes {', '.join(f.name for f in fields)}; it got {len(args)} values and {[*named]}")
    return tuple(values)


def _values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What reads these attributes as a tuple; attrgetter alone gives one of one name bare, and refuses none."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)
