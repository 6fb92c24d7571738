#!/usr/bin/env python3
"""Write the tiny random-weight model of the rehearsal into a folder: scripts/make_tiny_model.py [DIR].

Without DIR it goes where `dsv4 rehearse` looks. Needs nothing but Python: see src/dsv4_launch/deep/tiny_model.py.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent / "src" / "dsv4_launch" / "deep" / "tiny_model.py"

if __name__ == "__main__":
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = os.environ.get("DSV4_REHEARSAL_HOME") or f"{cache}/dsv4/rehearsal"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dir", nargs="?", default=f"{home}/model", help="where the model goes")
    sys.argv = [str(MODULE), parser.parse_args().dir]
    runpy.run_path(str(MODULE), run_name="__main__")
