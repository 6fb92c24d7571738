"""vLLM's arguments as fields of a config: what has a field goes there, the rest verbatim into ``engine``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dsv4_launch.catalog.flag_table import Flag
from dsv4_launch.catalog.version import within
from dsv4_launch.convert.imports.imported import Draft
from dsv4_launch.convert.read.engine import Engine, loaded
from dsv4_launch.convert.read.words import Span, Word
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.argv.numbers import integer, number
from dsv4_launch.plan.argv.parsed import Given

_PARALLEL = {
    "tensor_parallel_size": "tensor",
    "data_parallel_size": "data",
    "pipeline_parallel_size": "pipeline",
    "enable_expert_parallel": "expert",
}
_ELSEWHERE = frozenset(
    {"model_tag", "model", "host", "port", "served_model_name", "revision", "api_key", "hf_token", "config"}
)
_OLD_INDEXER, _NEW_INDEXER = "attention_config.use_fp4_indexer_cache", "attention_config.indexer_kv_dtype"
INDEXER_OPTIONS = (_OLD_INDEXER, _NEW_INDEXER)
_RENAMED_IN = "0.28.0"
_VARIABLE = re.compile(r"\$\{?\w+\}?")
_CUDAGRAPH_MODES = ("NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE")


@dataclass(frozen=True, slots=True)
class _Named:
    """One argument under the name that a config has for it; ``at``: the index of its first word."""

    at: int
    name: str
    value: Any
    span: Span


def import_engine(engine: Engine, draft: Draft, arch: str) -> None:
    """Put every argument of the launch into the draft, in the order of the command line."""
    named: list[_Named] = []
    for given in sorted(engine.parsed.given.values(), key=lambda given: given.at):
        words = [engine.words[n] for n in given.at]
        span = (min(w.start for w in words), max(w.end for w in words))
        if given.flag.dest in _ELSEWHERE:
            continue
        if any(word.opaque for word in words):
            _opaque(given, words, span, draft)
        elif given.flag.dest in _PARALLEL:
            _parallel(given, span, draft)
        else:
            named += [_Named(given.at[n], name, value, span) for n, name, value in _values(given, words)]
    # Dotted options of one table may stand far apart: each keeps its own place.
    for entry in sorted(named, key=lambda entry: entry.at):
        _put(entry, draft, engine.release.table, arch)
    for name in engine.parsed.repeated:
        draft.say("changed", f"{name} is given more than once; vLLM takes the last, so it is the one in the config.")
    unread = engine.unread()
    for refusal in engine.parsed.refusals:
        words = [engine.words[n] for n in refusal.at]
        if refusal.code in ("unknown-option", "ambiguous") and words:
            _verbatim(words, draft)
        elif any(word in unread for word in words):
            continue  # told below
        elif refusal.code in ("unrecognized", "value-missing", "value-not-taken") and words:
            said = " ".join(w.text for w in words)
            draft.say("lost", f"{said}: {refusal.message}", words[0].span)
        elif refusal.code == "config-file":
            draft.say("lost", refusal.message)
    for word in unread:
        if word.start < word.end:
            draft.say("lost", f"{word.text}: only the shell that runs it knows what it holds.", word.span)


def _parallel(given: Given, span: Span, draft: Draft) -> None:
    name = _PARALLEL[given.flag.dest]
    value: Any = given.spelling not in given.flag.negative if name == "expert" else _whole(given.values)
    if value is None:
        draft.say("lost", f"{given.spelling} {' '.join(given.values)} is no whole number.", span)
    else:
        draft.put("parallel", name, value, span)


def _whole(values: Sequence[str]) -> int | None:
    try:
        return int(values[0])
    except (ValueError, IndexError):
        return None


def _opaque(given: Given, words: Sequence[Word], span: Span, draft: Draft) -> None:
    """A value that a shell variable holds: only what can be seen through it is kept."""
    seen = loaded(_VARIABLE.sub("1", given.values[0])) if given.values and given.flag.kind == "json" else None
    if isinstance(seen, dict):
        draft.put("engine", given.flag.dest, seen, span)
    draft.say("lost", f"{' '.join(w.text for w in words)}: only the shell that runs it knows the value.", span)


def _values(given: Given, words: Sequence[Word]) -> list[tuple[int, str, Any]]:
    """The argument under its name, or dotted options one by one, as they were written."""
    dest = given.flag.dest
    if given.flag.kind != "json" or given.flag.nargs is not None:
        return [(0, dest, typed(given.flag, given.spelling, given.values))]
    dotted = _dotted(dest, words)
    if dotted is not None:
        return dotted
    value = typed(given.flag, given.spelling, given.values)
    if dest == "compilation_config" and isinstance(value, Mapping) and not _fits_compilation(value):
        return [(0, "compilation-config", value)]
    return [(0, dest, value)]


def _dotted(dest: str, words: Sequence[Word]) -> list[tuple[int, str, Any]] | None:
    """``--option.key=value`` words one by one; None when the option was also given in another way, or a key twice."""
    found: dict[str, tuple[int, str, Any]] = {}
    at = 0
    while at < len(words):
        first = at
        name, equals, value = words[at].text.partition("=")
        if not name.startswith("-") or "." not in name or name.endswith("+"):
            return None
        if not equals:
            at += 1
            if at >= len(words):
                return None
            value = words[at].text
        key = f"{dest}.{name.partition('.')[2]}"
        if key in found or value.lstrip().startswith(("{", "[")):
            return None
        found[key] = (first, key, _scalar(value))
        at += 1
    return list(found.values())


def _scalar(text: str) -> Any:
    """The plain value that is written with exactly this text, else the text."""
    if text in ("True", "False"):
        return text == "True"
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", text):
        return int(text)
    if re.fullmatch(r"-?\d{1,15}\.\d{1,15}", text) and number(float(text)) == text:
        return float(text)
    return text


def _fits_compilation(value: Mapping[str, Any]) -> bool:
    mode, cudagraph, ops = value.get("mode"), value.get("cudagraph_mode"), value.get("custom_ops")
    return (
        (mode is None or (isinstance(mode, int) and not isinstance(mode, bool) and 0 <= mode <= 3))
        and (cudagraph is None or cudagraph in _CUDAGRAPH_MODES)
        and (ops is None or (isinstance(ops, list) and all(isinstance(op, str) and op for op in ops)))
    )


def typed(flag: Flag, spelling: str, values: Sequence[str]) -> Any:
    """The value of an option as a config writes it, so that rendering gives the same words wherever that can be."""
    if flag.kind in ("bool", "store_true") or not values:
        return spelling not in flag.negative
    if flag.kind == "json" and flag.nargs is None:
        value = loaded(values[0])
        return values[0] if value is None else value
    many = flag.kind == "append" or flag.nargs not in (None, "?")
    found = [_one(flag, value) for value in values]
    if many:
        return found if len(found) != 1 else found[0]
    return found[0]


def _one(flag: Flag, text: str) -> Any:
    if flag.kind in ("int", "human_int", "human_int_or_auto") and re.fullmatch(r"-?\d{1,18}", text):
        if flag.kind == "human_int_or_auto" and text == "-1":
            return "auto"
        return int(text)
    if flag.kind == "float":
        try:
            value = float(text)
        except ValueError:
            return text
        return value if value == value and abs(value) != float("inf") else text
    return text


def _put(entry: _Named, draft: Draft, release: str, arch: str) -> None:
    name, value, span = entry.name, entry.value, entry.span
    if name == "max_num_seqs" and isinstance(value, str) and value.isascii():
        value = integer(value) or value
    neutral = _indexer(name, value, release, arch)
    if neutral:
        draft.put("engine", "indexer_cache_dtype", neutral, span)
        draft.at[f"engine.{name}"] = span
        return
    draft.put("engine", name, value, span)


def _indexer(name: str, value: Any, release: str, arch: str) -> str:
    """The neutral field where our rules make the same words of it; "" where they would not."""
    renamed = within(release, f">={_RENAMED_IN}")
    if name == _OLD_INDEXER and value is True and not renamed and arch in ("", "sm100"):
        return "fp4"
    if name == _NEW_INDEXER and renamed:
        if value == "mxfp4" and arch in ("", "sm100"):
            return "fp4"
        if value == "fp8" and arch in ("sm90", "sm100", "sm120"):
            return "fp8"
    return ""


def indexer_option(value: str | None, release: str) -> str:
    """How a release is asked for an indexer cache of this type (fp4, fp8); None: the option alone."""
    new = within(release, f">={_RENAMED_IN}")
    known = {"fp4": "=mxfp4", "fp8": "=fp8"} if new else {"fp4": "=True", "fp8": "=False"}
    return f"--{_NEW_INDEXER if new else _OLD_INDEXER}" + (known.get(value, "") if value else "")


def _verbatim(words: Sequence[Word], draft: Draft) -> None:
    """An option that the release does not know, under the name that it was given."""
    name, equals, value = words[0].text.lstrip("-").partition("=")
    head, dot, keys = name.partition(".")
    name = head.replace("-", "_") + dot + keys
    if not name or any(word.opaque for word in words):
        return
    given: Any = _scalar(value) if equals else _scalar(words[1].text) if len(words) > 1 else True
    draft.put("engine", name, given, words[0].span)
