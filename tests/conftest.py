"""Puts this folder on the path, so that tests share their stand-ins: `checks` (hosts and plans), `e2e.nvml_shim`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
