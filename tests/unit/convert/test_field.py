"""The field check on constructed commands: each failure's cause is named, nothing that works is called wrong."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_every_cause_is_named_and_no_sound_command_has_an_error():
    spec = importlib.util.spec_from_file_location("field_check", ROOT / "scripts/field_check.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["field_check"] = script
    spec.loader.exec_module(script)
    tally = script.Tally()
    for line in (ROOT / "tests/field/constructed.jsonl").read_text("utf-8").splitlines():
        script.check(json.loads(line), tally)
    assert tally.misses == []
    assert (tally.named, tally.failed) == (30, 30)
    assert (tally.clean, tally.worked) == (5, 5)
