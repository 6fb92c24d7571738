"""A data set of prompts: which of vLLM's two formats a file is in, and whether it can be one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from dsv4_launch.errors import InputError

_HINT = 'A .jsonl line is {"prompt": "…", "output_tokens": 100}; a .json file is a list as ShareGPT\'s.'


def check(name: str, head: str, *, output_len: int) -> Literal["sharegpt", "custom"]:
    """The format of a file, from its name and the beginning of its text (whole lines).

    Raises InputError when vLLM's client could not read it, or would not know how long answers are to be.
    """
    if name.endswith(".jsonl"):
        first = _first_line(name, head)
        if not isinstance(first.get("prompt"), str):
            raise InputError("The first line has no prompt.", where=f"{name}:1", fix=_HINT, code="bench-dataset")
        if not output_len and not isinstance(first.get("output_tokens"), int):
            raise InputError(
                "It does not say how long answers are to be.",
                where=f"{name}:1",
                fix="Say it with --output-len, or as output_tokens in each line.",
                code="bench-dataset",
            )
        return "custom"
    if name.endswith(".json"):
        if not head.lstrip().startswith("[") or '"conversations"' not in head:
            raise InputError("It is no list of conversations.", where=name, fix=_HINT, code="bench-dataset")
        return "sharegpt"
    raise InputError("A data set is a .json or .jsonl file.", where=name, fix=_HINT, code="bench-dataset")


def _first_line(name: str, head: str) -> Mapping[str, Any]:
    line = next(iter(head.splitlines()), "")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"Its first line is not JSON: {error}.", where=f"{name}:1", fix=_HINT, code="bench-dataset"
        ) from None
    return found if isinstance(found, dict) else {}
