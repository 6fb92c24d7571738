"""What makes a short command short."""

from __future__ import annotations

import os

_VARIABLE = "PYDANTIC_DISABLE_PLUGINS"


def build_config_schema() -> None:
    """Build the schema of a config, which pydantic would build when the first config is read, without its plugins.

    It searches every installed package for them, which takes longer than the schema. The variable that forbids it is
    taken back: what is launched from here inherits the environment.
    """
    from dsv4_launch.config.model import LaunchConfig

    if LaunchConfig.__pydantic_complete__:
        return
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "__all__"
    try:
        LaunchConfig.model_rebuild()
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
