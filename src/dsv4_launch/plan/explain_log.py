"""Which known failure a log shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from dsv4_launch.catalog.advisories import Advisory, advisories, quiet_pieces
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.releases import nearest_release
from dsv4_launch.plan.advise import Match

# Of a longer line the head and the tail are read: the rest is a dumped config or binary.
_LONGEST_LINE = 16_384
_CHUNK_CHARACTERS = 1_000_000
_LONGEST_EVIDENCE = 400
# vLLM logs its arguments: what follows a key's name, and what looks like a token, is not repeated.
_SECRET = re.compile(
    r"((?:api[_-]?key|[Aa]uthorization|token)['\"]?[ :=]{1,3}\[?['\"]?(?:Bearer )?)[^\s'\",\])]{6,400}"
    r"|\b(?:hf_|sk-|ghp_|github_pat_|nvapi-)[A-Za-z0-9_-]{16,400}"
)
# How releases 0.20.0 to 0.33.0 name themselves in their logs.
_VERSION = re.compile(r"(?:LLM engine \(v|server version |█  version )(\d{1,4}\.\d{1,4}\.\d{1,4}[0-9a-z.+]{0,60})")


def explain_log(lines: Iterable[str], version: str | None = None, gpu: str | None = None) -> tuple[Match, ...]:
    """The advisories that a log shows, the most specific first.

    Without ``version`` the release that the log names is taken. Those known for another release or GPU come behind, the
    generic ones behind those that name a cause. What only follows from a failure is left out where that one is found.
    Time is linear in the log.
    """
    candidates = [advisory for advisory in advisories() if advisory.log]
    patterns = {piece: _pattern(piece) for advisory in candidates for pieces in advisory.log for piece in pieces}
    quiet = quiet_pieces()
    seen: dict[str, tuple[int, str]] = {}
    for first, text in _chunks(lines):
        if version is None and (said := _VERSION.search(text)):
            version = said.group(1).rstrip(".")
        for piece, pattern in patterns.items():
            if piece not in seen and (at := _find(piece, pattern, text, quiet)) >= 0:
                seen[piece] = (first + text.count("\n", 0, at), _line_at(text, at))
    release = nearest_release(version)[0].version if version else None
    arch = gpus()[gpu].arch if gpu in gpus() else None
    found = [match for advisory in candidates if (match := _shown(advisory, seen, release, gpu, arch)) is not None]
    if any(not match.advisory.alone and match.advisory.severity != "info" for _, match in found):
        found = [(rank, match) for rank, match in found if not match.advisory.alone]
    return tuple(match for _, match in sorted(found, key=lambda pair: (*pair[0], pair[1].advisory.number)))


_Rank = tuple[bool, bool, bool, int]


def _shown(
    advisory: Advisory, seen: Mapping[str, tuple[int, str]], release: str | None, gpu: str | None, arch: str | None
) -> tuple[_Rank, Match] | None:
    shown = [pieces for pieces in advisory.log if all(piece in seen for piece in pieces)]
    if not shown:
        return None
    # A generic one is about the machine: a rehearsal on the CPU can die of it too.
    here = advisory.generic or advisory.concerns(release, gpu, arch)
    # What is only good to know explains no crash of an unknown or another release.
    if advisory.severity == "info" and not (here and (release or not advisory.versions)):
        return None
    best = max(shown, key=lambda pieces: sum(map(len, pieces)))
    line, text = seen[best[-1]]
    # Longer pieces say more; among the generic ones their own order counts.
    length = 0 if advisory.generic else -sum(map(len, best))
    rank = (advisory.severity == "info", advisory.generic, not here, length)
    return rank, Match(advisory, line=line, text=text, known_here=here)


def _chunks(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The log in texts of about a megabyte, each with the number of its first line."""
    held: list[str] = []
    size, first = 0, 1
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n").replace("\n", " ")
        if len(line) > _LONGEST_LINE:
            line = f"{line[: _LONGEST_LINE // 2]} {line[-_LONGEST_LINE // 2 :]}"
        held.append(line)
        size += len(line) + 1
        if size >= _CHUNK_CHARACTERS:
            yield first, "\n".join(held)
            held, size, first = [], 0, number + 1
    if held:
        yield first, "\n".join(held)


def _pattern(piece: str) -> re.Pattern[str] | None:
    return re.compile(piece.removeprefix("re:")) if piece.startswith("re:") else None


def _find(piece: str, pattern: re.Pattern[str] | None, text: str, quiet: tuple[str, ...]) -> int:
    """Where a piece stands first in a line that is not quiet; -1 for nowhere."""
    at = _next(piece, pattern, text, 0)
    while at >= 0:
        start, end = _line_of(text, at)
        line = text[start:end]
        if not any(quiet_piece in line for quiet_piece in quiet):
            return at
        at = _next(piece, pattern, text, end)
    return at


def _next(piece: str, pattern: re.Pattern[str] | None, text: str, start: int) -> int:
    if pattern is None:
        return text.find(piece, start)
    match = pattern.search(text, start)
    return match.start() if match else -1


def _line_of(text: str, at: int) -> tuple[int, int]:
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, end if end >= 0 else len(text)


def _line_at(text: str, at: int) -> str:
    start, end = _line_of(text, at)
    return without_secrets(text[start:end])[:_LONGEST_EVIDENCE]


def without_secrets(line: str) -> str:
    """A line of a log with *** for what follows a key's name, and for what looks like a token."""
    return _SECRET.sub(lambda found: f"{found.group(1) or ''}***", line)
