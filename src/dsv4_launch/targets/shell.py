"""A rendered command as text: for a person to read and paste, on one line, or as the JSON array of its words."""

from __future__ import annotations

import json
from itertools import pairwise

from dsv4_launch.values import Command, Rendered, shell_word, to_data


def multiline(rendered: Rendered) -> str:
    """POSIX shell text, one option a line. Pasting it runs exactly the words of the command."""
    argv = rendered.command.argv
    edges = [0, *rendered.breaks, len(argv)]
    lines = [" ".join(shell_word(word) for word in argv[start:end]) for start, end in pairwise(edges)]
    return " \\\n  ".join([*_assignments(rendered.command), *lines])


def oneline(rendered: Rendered) -> str:
    """The same text on one line."""
    return " ".join([*_assignments(rendered.command), *(shell_word(word) for word in rendered.command.argv)])


def as_json(rendered: Rendered) -> str:
    """The words as a JSON array; a word that the host completes is an object with its placeholder."""
    return json.dumps(to_data(rendered.command.argv), ensure_ascii=False)


def _assignments(command: Command) -> list[str]:
    """Variables in front of the command: plain values, and secrets taken from the shell's own environment."""
    plain = [f"{name}={shell_word(value)}" for name, value in command.env.items()]
    # A secret that keeps its name is inherited; one under another name is passed on by expansion, never by value.
    renamed = [f'{name}="${{{source}:?}}"' for name, source in command.env_from.items() if name != source]
    return plain + renamed
