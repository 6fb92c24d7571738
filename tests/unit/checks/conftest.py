"""Puts the folder that holds the faults (`checks`) on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
