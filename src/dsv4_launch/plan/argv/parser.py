"""vLLM's command line as a pure parser: the words of ``vllm serve`` to values, and what the release refuses.

What vLLM does to the words before argparse sees them stands here and in `config_file` and `dotted`; argparse itself is
`grammar`. What a release knows comes from its flag table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from dsv4_launch.catalog.flag_table import FlagTable
from dsv4_launch.plan.argv.config_file import ConfigFileError, config_words
from dsv4_launch.plan.argv.dotted import Piece, Unfinished, pieces
from dsv4_launch.plan.argv.grammar import read_pieces
from dsv4_launch.plan.argv.parsed import Parsed, Refusal

_MODEL_OPTION = re.compile(r"--model(=.+)?", re.DOTALL)
_SERVED_NAME = re.compile(r"--served[-_]model[-_]name(=.+)?", re.DOTALL)


def parse(words: Sequence[str], table: FlagTable, read: Callable[[str], str] | None = None) -> Parsed:
    """Read the words behind ``vllm serve`` as the release does. ``read`` gives the text of a ``--config`` file.

    Every refusal is found where argparse stops at the first; none means that the release takes the words.
    """
    words, shift = _model_first(list(words))
    if words and words[0].startswith("-") and any(map(_SERVED_NAME.fullmatch, words)) and not _has_config(words):
        message = "vLLM wants the model as the first word when --served-model-name is given."
        return Parsed(None, refusals=(Refusal("model-not-first", message, fix="Write `vllm serve MODEL --…`."),))
    try:
        words, shift = _with_config_file(words, shift, table, read)
        found, twice = pieces(words)
    except ConfigFileError as error:
        return Parsed(None, refusals=(Refusal("config-file", str(error), "--config"),))
    except Unfinished as error:
        name = words[error.at]
        return Parsed(None, refusals=(Refusal("value-missing", f"{name} has no value.", name, (shift[error.at],)),))
    if shift != list(range(len(words))):
        found = [Piece(p.text, tuple(shift[n] for n in p.at)) for p in found]
    return read_pieces(found, table, twice)


def _has_config(words: Sequence[str]) -> bool:
    return any(word == "--config" or word.startswith("--config=") for word in words)


def _model_first(words: list[str]) -> tuple[list[str], list[int]]:
    """``--model X`` is moved to the front, as vLLM does; and the old index of every word."""
    order = list(range(len(words)))
    at = next((n for n, word in enumerate(words) if _MODEL_OPTION.fullmatch(word)), None)
    if at is None or (words[at] == "--model" and at + 1 == len(words)):
        return words, order
    taken = 2 if words[at] == "--model" else 1
    model = words[at + 1] if taken == 2 else words[at].removeprefix("--model=")
    rest = [n for n in order if not at <= n < at + taken]
    return [model, *(words[n] for n in rest)], [at, *rest]


def _with_config_file(
    words: list[str], shift: list[int], table: FlagTable, read: Callable[[str], str] | None
) -> tuple[list[str], list[int]]:
    """The words of a ``--config`` file in front of the others, behind the model; they count as the file's own place."""
    if "--config" not in words:
        return words, shift
    if words.count("--config") > 1:
        raise ConfigFileError("--config is given twice; vLLM takes one file.")
    at = words.index("--config")
    if at + 1 == len(words):
        raise ConfigFileError("--config has no file.")
    inserted = config_words(words[at + 1], read, table)
    rest = [n for n in range(len(words)) if n not in (at, at + 1)]
    front = rest[:1] if rest[:1] == [0] and not words[0].startswith("-") else []
    if not front and "--model" not in inserted:
        raise ConfigFileError("no model: neither as the first word nor in the --config file.")
    tail = rest[len(front) :]
    merged = [words[n] for n in front] + inserted + [words[n] for n in tail]
    places = [shift[n] for n in front] + [shift[at + 1]] * len(inserted) + [shift[n] for n in tail]
    return merged, places
