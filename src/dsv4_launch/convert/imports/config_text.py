"""An imported launch as the text of a config file: what could not be carried stands in it as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from dsv4_launch.config.write import config_lines
from dsv4_launch.convert.imports.imported import Note

_TITLES = {
    "lost": "Not carried over:",
    "changed": "Written differently:",
    "assumed": "Not said by the text, and assumed:",
}


def config_text(data: Mapping[str, Any], notes: Sequence[Note], source: str) -> str:
    """YAML text that loads as ``data``, with the notes in front."""
    lines = [f"# Imported from {source} by `dsv4 import`."]
    for kind, title in _TITLES.items():
        found = [note.text for note in notes if note.kind == kind]
        if found:
            lines.append(f"# {title}")
        for text in dict.fromkeys(found):
            plain = "".join(c if c.isprintable() else " " for c in text)
            lines += [f"#   {part}" for part in textwrap.wrap(f"- {plain}", 110, subsequent_indent="  ")]
    return "\n".join([*lines, *config_lines(data)]) + "\n"
