"""Which vLLM `dsv4 validate --deep` asks."""

from __future__ import annotations

from dsv4_launch.errors import UsageError
from dsv4_launch.run.deep_check import Where, find_python


def vllm_to_ask(*, deep: bool, python: str | None, image: str | None) -> Where:
    """The environment or image of the options; without either the environment of rehearsals.

    Raises UsageError for options that do not go together, HostError when there is no such Python.
    """
    if not deep:
        raise UsageError("--python and --image say which vLLM --deep asks.", fix="Add --deep.")
    if python and image:
        raise UsageError("--python and --image are two places to ask vLLM in.", fix="Leave one of the two out.")
    if image:
        return Where(image=image)
    if python:
        return Where(python=find_python(python))
    from dsv4_launch.host.places import find_places

    return Where(python=find_python(f"{find_places()['rehearsal_home']}/venv"))
