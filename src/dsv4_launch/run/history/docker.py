"""The history of containers: one empty volume an entry, whose label holds it.

A volume lives on the engine, so that whoever may use the engine sees the same history, from any machine; it is created
in one step with its labels, which nobody can change afterwards; it needs no image and no container. `docker system
prune` leaves volumes alone; `docker volume prune` (with --all from 23.0 on) takes them.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from dsv4_launch.errors import HostError, ToolError
from dsv4_launch.run.history.entries import Entry, dump, numbered, ordered, parse, too_many

LABEL_HISTORY, LABEL_ENTRY, LABEL_WRITER = "dsv4.history", "dsv4.entry", "dsv4.writer"
_TRIES = 20


class DockerHistory:
    """Entries on an engine. ``connect`` gives a client of the docker package."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect

    def entries(self, name: str) -> list[Entry]:
        """The entries of a deployment, oldest first; what is no entry of ours is passed over."""
        found = (parse(labels.get(LABEL_ENTRY, "")) for _, labels in self._volumes(f"{LABEL_HISTORY}={name}"))
        return ordered(entry for entry in found if entry is not None)

    def names(self) -> list[str]:
        """Every deployment that has entries on this engine."""
        return sorted({labels[LABEL_HISTORY] for _, labels in self._volumes(LABEL_HISTORY)})

    def add(self, name: str, entry: Entry) -> Entry:
        """Keep an entry. The engine gives an existing volume for a taken name: whose it is, its label tells."""
        client, writer = self._connect(), uuid.uuid4().hex
        known = self.entries(name)
        number = known[-1].number if known else 0
        for _ in range(_TRIES):
            number += 1
            kept = numbered(entry, number)
            labels = {LABEL_HISTORY: name, LABEL_WRITER: writer, LABEL_ENTRY: dump(kept)}
            with _asking():
                volume = client.api.create_volume(name=_volume(name, number), labels=labels)
            if (volume.get("Labels") or {}).get(LABEL_WRITER) == writer:
                break
        else:
            raise ToolError(f"No number is free for the history of {name}.", where="docker volumes")
        for old in too_many([*known, kept]):
            with contextlib.suppress(ToolError), _asking():
                client.api.remove_volume(_volume(name, old.number))
        return kept

    def _volumes(self, label: str) -> list[tuple[str, dict[str, str]]]:
        with _asking():
            found = self._connect().api.volumes(filters={"label": [label]})["Volumes"] or []
        return [(volume["Name"], volume.get("Labels") or {}) for volume in found]


def _volume(name: str, number: int) -> str:
    return f"dsv4-history.{name}.{number:06d}"


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    import docker
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        raise ToolError(f"The Docker engine refused: {error.explanation or error}.", where="docker volumes") from None
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise HostError(
            "The Docker engine stopped answering.", where=type(error).__name__, code="engine-down"
        ) from error
