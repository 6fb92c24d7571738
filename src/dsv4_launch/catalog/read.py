"""Reading the catalog's own data files: TOML that ships in the package."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import tomli

DATA = Path(__file__).parent / "data"


@lru_cache
def table(name: str) -> dict[str, Any]:
    """The data file ``catalog/data/<name>.toml``. A broken one is a bug of ours and raises as it is."""
    return tomli.loads((DATA / f"{name}.toml").read_text("utf-8"))
