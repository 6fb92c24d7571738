"""`dsv4 advisories`: the list, filtered, or what a log shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from dsv4_launch.catalog.advisories import Advisory
from dsv4_launch.catalog.advisories import advisories as all_advisories
from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.catalog.releases import nearest_release
from dsv4_launch.cli import options, show
from dsv4_launch.errors import InputError, UsageError
from dsv4_launch.plan.advise import Match
from dsv4_launch.plan.explain_log import explain_log
from dsv4_launch.values import counted, listed, nearest

_LONGEST_LINE = 65_536
_SHOWN_CHARACTERS = 200


def list_advisories(vllm: str | None, gpu: str | None, log: str | None, output: options.Output) -> int:
    """Print what was asked for; returns the exit code. Raises UsageError (GPU, version) and InputError (log)."""
    release = _release(vllm)
    arch = _arch(gpu)
    if log is not None:
        matches = _matches(log, vllm, gpu)
        if output is options.Output.json:
            show.envelope("advisories", 0, {"matches": matches})
        else:
            _human_matches(matches)
        return 0
    found = [advisory for advisory in all_advisories() if advisory.concerns(release, gpu, arch)]
    if output is options.Output.json:
        show.envelope("advisories", 0, {"advisories": found})
    else:
        _human(found)
    return 0


def _release(vllm: str | None) -> str | None:
    if vllm is None:
        return None
    if not vllm[:1].isdigit():
        raise UsageError(f"--vllm {vllm} is not a release.", fix="For example --vllm 0.28.0.")
    release, exact = nearest_release(vllm)
    if not exact:
        show.note(f"vLLM {vllm} is not a release that is known here; these are those of {release.version}")
    return release.version


def _arch(gpu: str | None) -> str | None:
    if gpu is None:
        return None
    if gpu not in gpus():
        meant = nearest(gpu, gpus())
        fix = f"Did you mean {meant}?" if meant else f"Known: {listed(gpus())}."
        raise UsageError(f"--gpu {gpu} is not in the catalog.", fix=fix)
    return gpus()[gpu].arch


def _matches(log: str, vllm: str | None, gpu: str | None) -> tuple[Match, ...]:
    if log == "-":
        return explain_log(bounded_lines(sys.stdin.buffer), vllm, gpu)
    try:
        with Path(log).open("rb") as file:
            return explain_log(bounded_lines(file), vllm, gpu)
    except OSError as error:
        raise InputError(f"The log cannot be read: {error.strerror or error}.", where=log) from None


def bounded_lines(file: IO[bytes]) -> Iterator[str]:
    """The lines of a log; of an endless one the head and the tail, so that memory stays bounded."""
    while head := file.readline(_LONGEST_LINE):
        tail = head
        while not tail.endswith(b"\n") and (more := file.readline(_LONGEST_LINE)):
            tail = more
        yield (head if tail is head else head + b" " + tail).decode("utf-8", "replace")


def _human(found: Sequence[Advisory]) -> None:
    for advisory in found:
        places = advisory.gpu or (() if "cpu" in advisory.arch else advisory.arch)
        where = ", ".join((*advisory.versions, *places)) or "everywhere"
        show.say(f"{advisory.id}  {advisory.severity:<7}  {advisory.title}  ({where})")
    show.note(f"{counted(len(found), 'advisory', 'advisories')}; `dsv4 explain ID` says more")


def _human_matches(matches: Sequence[Match]) -> None:
    if not matches:
        show.say("No known failure is in this log.")
    for match in matches:
        advisory = match.advisory
        elsewhere = "" if match.known_here else "  (known for another release or GPU)"
        show.say(f"{advisory.id}  {advisory.severity:<7}  {advisory.title}{elsewhere}")
        show.say(f"    line {match.line}: {show.clean(match.text.strip()[:_SHOWN_CHARACTERS])}")
        show.say(f"    {advisory.cause}")
        show.say(f"    fix: {advisory.fix}")
