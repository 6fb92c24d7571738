"""What all tests share: stand-ins on the path (`checks`, `e2e.nvml_shim`), and property tests that CI can repeat."""

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# What a terminal or a CI system says of colours and widths is not for the programs that are tested.
for name in [
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "PY_COLORS",
    "NO_COLOR",
    "GITHUB_ACTIONS",
    "TTY_COMPATIBLE",
    "COLUMNS",
    "LINES",
]:
    os.environ.pop(name, None)

# In CI a failure must be one of the change, not of the dice; at a desk new examples are tried each time.
# No deadline: how long an example takes says how busy the machine is; speed is measured by scripts/bench_*.py.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
