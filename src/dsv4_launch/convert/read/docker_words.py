"""``docker run`` in words: options, image, and what is behind the image. podman and nerdctl read alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from dsv4_launch.catalog.read import table
from dsv4_launch.convert.read.launch import Option
from dsv4_launch.convert.read.words import ELIDED, Fault, Word
from dsv4_launch.dataclass import dataclass
from dsv4_launch.values import nearest


@dataclass(frozen=True, slots=True)
class DockerRun:
    """Options by their long names, the image, the words behind it, and what docker would refuse."""

    options: tuple[Option, ...]
    image: Word | None
    command: tuple[Word, ...]
    faults: tuple[Fault, ...]


@lru_cache
def _known() -> tuple[frozenset[str], frozenset[str], Mapping[str, str], Mapping[str, str]]:
    data = table("docker_options")
    return frozenset(data["switches"]), frozenset(data["values"]), data["short"], data["same"]


def docker_run(words: Sequence[Word]) -> DockerRun:
    """The words behind ``docker run``. Never raises."""
    options: list[Option] = []
    faults: list[Fault] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word.text in ELIDED or (word.opaque and _many(word.text)):
            # What may hold several words stands for options that are not known.
            options.append(Option("", word.text, (word,), opaque=True))
            at += 1
        elif not word.text.startswith("-") or len(word.text) == 1:
            break
        elif word.text == "--":
            at += 1
            break
        else:
            at = (_long if word.text.startswith("--") else _short)(words, at, options, faults)
    image = words[at] if at < len(words) else None
    if image is None:
        end = words[-1].end if words else 0
        faults.append(Fault("docker-no-image", words[0].start if words else 0, end))
    return DockerRun(tuple(options), image, tuple(words[at + 1 :]), tuple(faults))


def _many(text: str) -> bool:
    return "[@]" in text or "[*]" in text or text in ("$@", "$*")


def _long(words: Sequence[Word], at: int, options: list[Option], faults: list[Fault]) -> int:
    switches, values, _, same = _known()
    word = words[at]
    name, equals, value = word.text[2:].partition("=")
    canonical = same.get(name, name)
    if name in switches:
        if value.lower() not in ("false", "0"):
            options.append(Option(canonical, None, (word,)))
        return at + 1
    if name not in values:
        meant = nearest(name, switches | values) if len(faults) < 10 and len(name) < 100 else None
        faults.append(Fault("docker-unknown-option", word.start, word.end, f"--{meant}" if meant else ""))
    if equals:
        options.append(Option(canonical, value, (word,), word.opaque))
        return at + 1
    return _with_next(canonical, words, at, options, faults, takes=name in values)


def _short(words: Sequence[Word], at: int, options: list[Option], faults: list[Fault]) -> int:
    switches, _, short, _ = _known()
    word = words[at]
    for n, letter in enumerate(word.text[1:], start=1):
        name = short.get(letter)
        if name is None:
            faults.append(Fault("docker-unknown-option", word.start, word.end))
            return at + 1
        if name in switches:
            options.append(Option(name, None, (word,)))
            continue
        rest = word.text[n + 1 :].removeprefix("=")
        if rest:
            options.append(Option(name, rest, (word,), word.opaque))
            return at + 1
        return _with_next(name, words, at, options, faults, takes=True)
    return at + 1


def _with_next(
    name: str, words: Sequence[Word], at: int, options: list[Option], faults: list[Fault], *, takes: bool
) -> int:
    word = words[at]
    # An unknown option: the word behind it is its value when it looks like neither an option nor an image.
    following = words[at + 1] if at + 1 < len(words) else None
    if following is None or (not takes and (following.text.startswith("-") or "/" in following.text)):
        if takes:
            faults.append(Fault("docker-value-missing", word.start, word.end, word.text))
        options.append(Option(name, None, (word,)))
        return at + 1
    if takes and following.text.startswith("--") and name not in ("entrypoint",):
        faults.append(Fault("docker-value-missing", word.start, word.end, word.text))
    options.append(Option(name, following.text, (word, following), following.opaque))
    return at + 2
