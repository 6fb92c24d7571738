"""What ``service.json`` says of a native service, and its text: nothing in it is taken on trust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from dsv4_launch.run.processes import Process
from dsv4_launch.values import to_data

SCHEMA = 1
# Those of `dsv4_launch.run.service.Life` that a record can say: nothing pauses a native server.
RecordedLife = Literal["created", "running", "restarting", "exited"]


@dataclass(frozen=True, slots=True)
class Record:
    """What ``service.json`` says. Times are ISO 8601 UTC; ``server`` and ``supervisor`` outlive no reboot.

    ``gpus``: the indices of those that the server was shown, where the launch named them.
    """

    name: str
    digest: str
    config: Mapping[str, Any]
    user: str
    argv: tuple[str, ...]
    port: int
    base_url: str
    restart: str
    created: str
    supervisor: Process | None = None
    server: Process | None = None
    life: RecordedLife = "created"
    started: str = ""
    finished: str = ""
    exit_code: int | None = None
    error: str = ""
    out_of_memory: bool = False
    stopped: bool = False
    restarts: int = 0
    stop_timeout_s: int = 0
    gpus: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


class DamagedError(Exception):
    """A state file that is not whole, or from another dsv4; the text says what is wrong with it."""


_WHOLE = ("port", "restarts", "stop_timeout_s")
_YES_NO = ("out_of_memory", "stopped")
_OTHER = ("config", "argv", "supervisor", "server", "exit_code", "life", "extra")
_TEXTS = tuple(f.name for f in fields(Record) if f.name not in (*_WHOLE, *_YES_NO, *_OTHER))


def dump(record: Record) -> str:
    """The text of a record."""
    return json.dumps({"version": SCHEMA, **to_data(record)}, indent=1, ensure_ascii=False) + "\n"


def parse(text: bytes) -> Record:
    """The record that a text holds. Raises DamagedError."""
    try:
        data = json.loads(text)
        if data.pop("version") != SCHEMA:
            raise DamagedError("it was written by another version of dsv4")
        known = {f.name for f in fields(Record)}
        data["extra"] = {name: data.pop(name) for name in [*data] if name not in known}
        for name in ("supervisor", "server"):
            data[name] = _process(data[name]) if data.get(name) is not None else None
        words = data["argv"]
        if not isinstance(words, list):
            raise TypeError
        data["argv"] = tuple(map(str, words))
        record = Record(**data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedError(f"it is not whole ({type(error).__name__})") from None
    if wrong := _wrong(record):
        raise DamagedError(f"its {wrong} is of another kind than it should be")
    return record


def _process(data: Mapping[str, Any]) -> Process:
    found = Process(**data)
    if not (_is_int(found.pid) and _is_int(found.start_ticks) and isinstance(found.boot, str)):
        raise TypeError
    return found


def _wrong(record: Record) -> str:
    """The first field whose value is of another kind ("" for none)."""
    kinds = {
        **{name: isinstance(getattr(record, name), str) for name in _TEXTS},
        **{name: _is_int(getattr(record, name)) for name in _WHOLE},
        **{name: isinstance(getattr(record, name), bool) for name in _YES_NO},
        "config": isinstance(record.config, dict),
        "exit_code": record.exit_code is None or _is_int(record.exit_code),
        "life": record.life in get_args(RecordedLife),
    }
    return next((name for name, right in kinds.items() if not right), "")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
