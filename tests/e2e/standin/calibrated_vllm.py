"""A stand-in for `vllm serve` with calibrated streams: more sequences at once make it faster; 13 kill it."""

import os
import sys
from pathlib import Path

words = sys.argv[1:]


def option(name: str, default: str) -> str:
    return words[words.index(name) + 1] if name in words else default


sequences = option("--max-num-seqs", "4")
if sequences == "13":
    sys.exit("RuntimeError: unlucky")
server = str(Path(__file__).with_name("calibrated.py"))
line = ["--port", option("--port", "8000"), "--model", option("--served-model-name", words[1]), "--slots", sequences]
os.execv(sys.executable, [sys.executable, server, *line, "--ttft-ms", "20", "--itl-ms", "5"])
