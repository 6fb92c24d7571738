"""The model's figures: its public config.json and a small tokenizer, on which vLLM judges without any weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from dsv4_launch.deep import tiny_model


def write_figures(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write the folder that vLLM is given as the model. ``changes`` are set in its config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads(files("dsv4_launch.deep").joinpath("flash_config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **(changes or {})}, indent=1) + "\n", "utf-8")
    # The rehearsal's tokenizer knows the model's own special tokens.
    for name, content in (
        ("tokenizer.json", tiny_model._tokenizer()),
        ("tokenizer_config.json", tiny_model._tokenizer_config()),
    ):
        (folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", "utf-8")
    return folder
