"""vLLM's words of a launch, read for one release: which that is, what it refuses, what is only almost right."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal

from dsv4_launch.catalog.flags import flag_table, nearest_version, versions
from dsv4_launch.catalog.read import table
from dsv4_launch.convert.read.entry import is_official
from dsv4_launch.convert.read.launch import Launch
from dsv4_launch.convert.read.words import ELIDED, Fault, Word
from dsv4_launch.dataclass import dataclass
from dsv4_launch.plan.argv.checks import check
from dsv4_launch.plan.argv.parsed import Parsed, Refusal
from dsv4_launch.plan.argv.parser import parse

_TAGGED = re.compile(r"(?<![\w.])v?(\d{1,4}\.\d{1,4}\.\d{1,4}(?:\.?(?:rc|dev|post)[\w.+]{0,40})?)")
_PUBLISHED = re.compile(r"v?\d+\.\d+\.\d+(?:-(?:cu\d+|ubuntu\d+|x86_64|aarch64|arm64))*|latest")
_MANY = re.compile(r"\$(?:\{\w+\[[@*]\]\}|[@*])")
_ESCAPED = '\\"'
_LONGEST_JSON = 20_000
# A longer command is no launch that some older release would take.
_MOST_WORDS_TRIED = 300

Told = Literal["given", "tag", "custom", "latest", "unknown"]


@dataclass(frozen=True, slots=True)
class Release:
    """The release that a launch is judged by: its version, the release whose table holds, and who said so.

    ``custom``: a build that is no release as published, so that it may take what the release does not.
    """

    version: str
    table: str
    told: Told
    said: str = ""
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Engine:
    """``words`` are the parsed ones, JSON mended; ``open_ended``: there may be more, which only a shell knows.

    ``spread``: words such as ``"${ARGS[@]}"`` and ``...`` that stand for none, one or several, each with the number of
    parsed words in front of it.
    """

    release: Release
    words: tuple[Word, ...]
    parsed: Parsed
    refusals: tuple[Refusal, ...]
    faults: tuple[Fault, ...]
    spread: tuple[tuple[int, Word], ...] = ()

    @property
    def open_ended(self) -> bool:
        return bool(self.unread())

    def written(self, words: Sequence[Word | None]) -> tuple[Word, ...]:
        """Words in the place of ``self.words`` (None: left out), with those that stand for several between them."""
        places = [(n + 1, word) for n, word in enumerate(words) if word is not None]
        # Stable: a word that stands for several comes behind the word that it followed.
        return tuple(word for _, word in sorted([*places, *self.spread], key=lambda place: place[0]))

    def unread(self) -> tuple[Word, ...]:
        """The words that hold options which only the shell of their user knows."""
        loose = [
            self.words[n]
            for refusal in self.parsed.refusals
            if refusal.code == "unrecognized"
            for n in refusal.at
            if self.words[n].opaque
        ]
        return (*loose, *(word for _, word in self.spread))


def read_engine(launch: Launch, text: str, vllm: str | None = None) -> Engine:
    """The words of a launch as its release reads them; of an unknown release the newest that takes them."""
    # Only in a shell's words can JSON have lost its quotes.
    written, faults = _mended(launch.engine, text if launch.kind in ("docker", "native") else "")
    words = tuple(word for word in written if not _is_spread(word))
    in_front = accumulate(0 if _is_spread(word) else 1 for word in written)
    spread = tuple((n, word) for n, word in zip(in_front, written, strict=True) if _is_spread(word))
    release = release_of(launch, vllm)
    parsed = _parse(words, release.table)
    refusals = _certain(parsed, words)
    if release.told == "unknown" and refusals and len(words) <= _MOST_WORDS_TRIED:
        for version in reversed(versions()[:-1]):
            older = _parse(words, version)
            if not _certain(older, words):
                refused = refusals[0].option or "it"
                said = f"{versions()[-1]} refuses {refused}; {version} is the newest release that takes every word"
                release, parsed, refusals = Release(version, version, "unknown", said, release.custom), older, ()
                break
    unsure = bool(spread) or any(word.opaque for word in words)
    if not unsure and not parsed.refusals:
        refusals += check(parsed, flag_table(release.table))
    return Engine(release, words, parsed, refusals, faults, spread)


def release_of(launch: Launch, vllm: str | None) -> Release:
    """Which release starts: told by the caller, by the image's tag, by a known custom tag, or the newest."""
    image = launch.image.text if launch.image is not None else ""
    tag = image.rsplit("/", 1)[-1].partition(":")[2].partition("@")[0]
    custom = bool(image) and not (is_official(image) and (_PUBLISHED.fullmatch(tag) or not tag))
    if vllm:
        return _release(vllm, "given", custom=custom)
    found = _TAGGED.search(tag)
    if found:
        return _release(found.group(1), "tag", custom=custom)
    for row in table("lint")["tag"]:
        if row["has"] in tag:
            return _release(row["vllm"], "custom", custom=True)
    newest = versions()[-1]
    moving = tag == "latest" or (is_official(image) and not tag and "@" not in image)
    return Release(newest, newest, "latest" if moving else "unknown", custom=custom)


def _release(version: str, told: Told, *, custom: bool) -> Release:
    version = version.strip().removeprefix("v")
    near, exact = nearest_version(version)
    return Release(version, near, told, custom=custom or not exact)


def _is_spread(word: Word) -> bool:
    return word.text in ELIDED or (word.opaque and bool(_MANY.search(word.text)))


def _parse(words: Sequence[Word], release: str) -> Parsed:
    return parse([word.text for word in words], flag_table(release))


def _certain(parsed: Parsed, words: Sequence[Word]) -> tuple[Refusal, ...]:
    """The refusals that do not hang on what only a shell knows."""
    return tuple(
        refusal
        for refusal in parsed.refusals
        if refusal.code != "config-file" and not any(words[n].opaque for n in refusal.at)
    )


def _mended(words: Sequence[Word], text: str) -> tuple[tuple[Word, ...], tuple[Fault, ...]]:
    """JSON as it was meant, and what was wrong with its quotes."""
    found: list[Word] = []
    faults: list[Fault] = []
    skip_from = skip_to = -1
    for word in words:
        if skip_from <= word.start < skip_to:  # words of an array stand before the command
            continue
        if "{" not in word.text[:80] or (word.text.startswith("-") and "=" not in word.text):
            found.append(word)
            continue
        option, equals, value = word.text.partition("=") if word.text.startswith("-") else ("", "", word.text)
        if _is_json(value) or len(value) > _LONGEST_JSON:
            found.append(word)
            continue
        mended, code, end = _mend(value, word, text)
        if not code:
            found.append(word)
            continue
        faults.append(Fault(code, word.start, max(word.end, end)))
        skip_from, skip_to = word.start, end
        found.append(replace(word, text=f"{option}{equals}{mended}", end=max(word.end, end), exact=-1))
    return tuple(found), tuple(faults)


def _mend(value: str, word: Word, text: str) -> tuple[str, str, int]:
    if _ESCAPED in value and _is_json(mended := value.replace(_ESCAPED, '"')):
        return mended, "escaped-json", 0
    if "'" in value and _is_json(mended := value.replace("'", '"')):
        return mended, "single-quoted-json", 0
    brace = text.find("{", word.start, word.end) if text else -1
    if brace >= 0 and text[brace : brace + 2] == '{"' and text[max(0, brace - 1) : brace] not in ("'", '"'):
        try:
            _, end = json.JSONDecoder().raw_decode(text[brace : brace + _LONGEST_JSON])
        except (ValueError, RecursionError):
            return "", "", 0
        return text[brace : brace + end], "unquoted-json", brace + end
    return "", "", 0


def _is_json(text: str) -> bool:
    return loaded(text) is not None


def loaded(text: str) -> Any:
    """JSON of a table or list as data; None when it is not that."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None
