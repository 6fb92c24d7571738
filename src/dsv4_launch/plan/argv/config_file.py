"""The ``--config FILE`` of ``vllm serve``: a YAML file as the words that vLLM makes of it.

Source: https://github.com/vllm-project/vllm/blob/v0.20.0/vllm/utils/argparse_utils.py, load_config_file; from 0.33.0 a
false switch becomes ``--no-…`` where the release has one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from dsv4_launch.catalog.flag_table import FlagTable
from dsv4_launch.catalog.version import within

_FALSE_IS_SAID = ">=0.33.0"


class ConfigFileError(Exception):
    """The file cannot be used; the message says why."""


def config_words(path: str, read: Callable[[str], str] | None, table: FlagTable) -> list[str]:
    """The words of a config file. Raises ConfigFileError."""
    if path.rsplit(".", 1)[-1] not in ("yaml", "yml"):
        raise ConfigFileError(f"--config {path}: vLLM reads .yaml and .yml files only.")
    if read is None:
        raise ConfigFileError(f"--config {path}: the file is not at hand, so what it sets is not known.")
    import yaml  # hardly a command line names a file

    try:
        data = yaml.safe_load(read(path))
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise ConfigFileError(f"--config {path}: it cannot be read ({str(error).splitlines()[0]}).") from None
    if not isinstance(data, Mapping):
        raise ConfigFileError(f"--config {path}: it is not a table of options.")
    words: list[str] = []
    for key, value in data.items():
        words += _words(str(key), value, table)
    return words


def _words(key: str, value: object, table: FlagTable) -> list[str]:
    option = f"--{key}"
    if isinstance(value, bool):
        if value:
            return [option]
        said = f"--no-{key}" in table.by_flag and within(table.version, _FALSE_IS_SAID)
        return [f"--no-{key}"] if said else []
    if isinstance(value, list):
        return [option, *map(str, value)] if value else []
    if isinstance(value, dict):
        return [option, json.dumps(value, default=str)]
    return [option, str(value)]
