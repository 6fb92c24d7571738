"""Launches whose container is not there yet: their `docker run` goes on, and the engine, though `dsv4` was killed.

Its command line, which every user may read, carries the labels that its container will have.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from dsv4_launch.plan.types import LABEL_GPUS
from dsv4_launch.run import processes
from dsv4_launch.run.docker.seen import config_of
from dsv4_launch.run.service import Seen
from dsv4_launch.targets.docker import LABEL_CONFIG, LABEL_DIGEST, LABEL_NAME, LABEL_USER

_LABEL = "--label"


def under_way(proc: Path = processes.PROC) -> dict[str, Seen]:
    """The services that a `docker run` of this machine is about to create, by name."""
    found = {}
    for pid in (int(folder.name) for folder in proc.iterdir() if folder.name.isdigit()):
        words = processes.command_line(pid, proc)
        if "run" not in words or _LABEL not in words:
            continue
        given = (value.partition("=") for option, value in pairwise(words) if option == _LABEL)
        labels = {name: value for name, _, value in given}
        name, process = labels.get(LABEL_NAME), processes.identify(pid, proc)
        if name and process:
            found[name] = Seen(
                name=name,
                target="docker",
                life="created",
                digest=labels.get(LABEL_DIGEST, ""),
                config=config_of(labels.get(LABEL_CONFIG, "")),
                user=labels.get(LABEL_USER, ""),
                base_url="",
                created=processes.started(process, proc),
                gpus=labels.get(LABEL_GPUS, ""),
            )
    return found
