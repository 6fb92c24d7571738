"""What measured starts taught: ``${XDG_CONFIG_HOME}/dsv4/calibration.json``, per GPU, release, layout and batch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dsv4_launch.errors import InputError
from dsv4_launch.plan.fit.memory import usable_gib
from dsv4_launch.plan.fit.types import Question

VERSION = 1
_BY = (
    "gpu", "vllm", "tensor", "data", "pipeline", "expert", "draft", "fp4_indexer", "mega_moe",
    "max_num_batched_tokens", "max_model_len",
)  # fmt: skip


def place() -> Path:
    """The file, there or not."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "dsv4" / "calibration.json"


def remember(asked: Question, available_kv_gib: float) -> Path:
    """Keep what weights and overhead took in a start. Returns the file that was written."""
    path = place()
    known = _read(path)
    known[_key(asked)] = {"taken_gib": round(usable_gib(asked)[1] - available_kv_gib, 3)}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps({"version": VERSION, "measured": known}, indent=2, sort_keys=True) + "\n", "utf-8")
    new.replace(path)
    return path


def recall(asked: Question) -> float | None:
    """The KV memory that a start like this had, at this share of the GPU; None when none was measured."""
    row = _read(place()).get(_key(asked))
    return None if row is None else usable_gib(asked)[1] - float(row["taken_gib"])


def _key(asked: Question) -> str:
    return " ".join(f"{name}={getattr(asked, name)}" for name in _BY)


def _read(path: Path) -> dict[str, Any]:
    """Raises InputError for a file that is not a calibration: it would be lost when it is written again."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The calibration cannot be read: {error}.", where=str(path)) from None
    try:
        data = json.loads(text)
        measured = data["measured"]
        if data["version"] != VERSION or not all(
            isinstance(row["taken_gib"], int | float) for row in measured.values()
        ):
            raise ValueError("another version or shape")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"This is no calibration of this version: {error}.", where=str(path), fix="Move the file away."
        ) from None
    return dict(measured)
