#!/usr/bin/env python3
"""Write the tiny random-weight model of the rehearsal into a folder: scripts/make_tiny_model.py [DIR].

Without DIR it goes where `dsv4 rehearse` looks. Needs nothing but Python: see src/dsv4_launch/deep/tiny_model.py.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent / "src" / "dsv4_launch" / "deep" / "tiny_model.py"

if __name__ == "__main__":
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = os.environ.get("DSV4_REHEARSAL_HOME") or f"{cache}/dsv4/rehearsal"
    sys.argv = [str(MODULE), *(sys.argv[1:] or [f"{home}/model"])]
    runpy.run_path(str(MODULE), run_name="__main__")
