"""Which exception a log tells first, of which process, and where in the code: what is true of a death nobody knows.

vLLM's processes log one after the other and each ends with an exception of its own; only the first says why.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dsv4_launch.plan.explain_log import without_secrets

# Without a word of a process that died, an exception further up than this has been outlived.
_RECENT_LINES = 400
_LONGEST_LINE, _LONGEST_SAID, _SEARCHED = 4096, 300, 80
# A start begins the story anew: a container's log holds those of all its restarts.
_STARTS = ("API server version",)
# vllm/v1/engine/core.py and vllm/v1/executor/multiproc_executor.py say so ahead of the traceback.
_DEATHS = (
    "EngineCore failed to start",
    "EngineCore encountered a fatal error",
    "EngineCore hit an exception",
    "WorkerProc failed to start",
    "WorkerProc hit an exception",
    "Exception in worker",
    "Error executing method",
    "died unexpectedly",
)
_PROCESS = re.compile(r"\(([A-Za-z][\w =-]{0,60}?) pid=\d{1,10}[^)]{0,80}\)|\[(rank\d{1,5})\]:")
_FRAME = re.compile(r'File "([^"]{1,400})", line (\d{1,7}), in (\S{1,120})')
_NAMED = r"(?:\w{1,60}\.){0,8}[A-Z]\w{0,80}(?:Error|Exception|Interrupt|ystemExit|Failure|OutOfResources)"
_RAISED = re.compile(rf"(?:^|[\s\]>|])(?<!raise )(?<!except )({_NAMED}(?:\(\w{{1,60}}\))?: \S.*)")
_BARE = re.compile(rf"(?:^|[\s\]>|])(?<!raise )({_NAMED})\s*$")
# What says only that another process failed, or that a client or an operator went.
_EMPTY = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|See (?:root cause|stack trace) above"
    r"|See stack trace (?:for|\(above\))|EngineDeadError|CancelledError|KeyboardInterrupt|RuntimeError: cancelled"
    r"|SystemExit|RayTaskError"
)
# Raised and caught all the time; what was raised meanwhile is what matters.
_PASSING = re.compile(r"(?:^|\.)(?:KeyError|LookupError|StopIteration|Empty|AttributeError|CalledProcessError)\b")
_CAUSED, _MEANWHILE = "was the direct cause of the following", "During handling of the above exception"
# Where no Python failed: what compilers, NCCL, UCX and the C library say last.
_NATIVE = (
    "NCCL WARN", "fatal error: ", "nvcc fatal", "ptxas fatal", "UCX  ERROR", "UCX  FATAL", "Check failed: ", "what():",
    "panic: ", "Caught signal ", "*** SIG", "Signal: ", "free(): ", "malloc(): ", ": not found", "CRITICAL",
    ": error: ",
)  # fmt: skip
_LETTERS = ("rror", "xception", 'File "', "died", "KeyboardInterrupt", "SystemExit")
_PACKAGES = re.compile(r".*/(?:site|dist)-packages/")
_OWN = re.compile(r"(?:.*/)?(vllm/.*)")
_FOLDERS = re.compile(r"(?:[\w.-]{0,60}/){1,20}(?=[\w.-])")
_CHANGING = re.compile(r"(?<![\w.])\d[\w.,:]{0,40}|0x[0-9a-fA-F]{1,16}|[\"`\[\]{}<>|]")
# The engine repeats what its worker said, and pydantic names what was wrong in its second line.
_REPEATED = re.compile(r"RuntimeError: Worker failed with error '(.{1,4000})', please check")
_MORE = re.compile(r"validation errors? for \w{1,80}$")


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed first. ``process`` in vLLM's name for it ("" if it has none), ``said`` the exception or message.

    ``line``: where it stands in the log (from 1). ``frame``: "file:line in function" of vLLM's own code that raised it,
    else of what did ("" if unknown). ``search``: the words of it that stay the same on another machine.
    """

    process: str
    said: str
    line: int
    frame: str
    search: str


@dataclass(slots=True)
class _Thread:
    """One process's lines: the frames of its traceback, and what the exception before led to this one."""

    own: str = ""
    inner: str = ""
    inside: bool = False
    link: str = ""
    root: Failure | None = None


@dataclass(slots=True)
class FirstFailure:
    """Reads a log line by line, in memory that does not grow with it."""

    _threads: dict[str, _Thread] = field(default_factory=dict)
    _recent: deque[Failure] = field(default_factory=lambda: deque(maxlen=64))
    _first: Failure | None = None
    _outer: Failure | None = None
    _native: Failure | None = None
    _dying: bool = False
    _more: Failure | None = None
    _line: int = 0

    def see(self, line: str) -> None:
        """Take in the next line."""
        self._line += 1
        if self._more:
            self._add(line)
        # Most lines tell of nothing: they cost a few searches for a few letters.
        if not (any(letters in line for letters in _LETTERS) or _native(line)):
            if "Traceback (most" in line:
                self._traceback(self._process(line))
            elif any(start in line for start in _STARTS):
                self._forget()
            return
        line = line[:_LONGEST_LINE].rstrip()
        if not self._dying and any(death in line for death in _DEATHS):
            self._dying = True
        process = self._process(line)
        if frame := _FRAME.search(line):
            self._frame(process, frame)
        elif "Traceback (most" in line:
            self._traceback(process)
        elif _CAUSED in line or _MEANWHILE in line:
            self._threads.setdefault(process, _Thread()).link = "cause" if _CAUSED in line else "meanwhile"
        else:
            self._exception(process, line)

    @property
    def found(self) -> Failure | None:
        """The failure to blame; None where the log tells of none."""
        recent = [one for one in self._recent if one.line > self._line - _RECENT_LINES]
        if self._dying:
            before = next((one for one in reversed(recent) if one.process != "APIServer"), None)
            return self._first or before or self._outer or self._native or self._broken_off()
        return next(iter(recent), None) or self._native or self._broken_off()

    def _broken_off(self) -> Failure | None:
        """A traceback whose exception the log does not hold."""
        for process, thread in self._threads.items():
            if thread.inside and thread.inner:
                frame = thread.own or thread.inner
                said = "a traceback whose last line is not in the log"
                return Failure(process, said, self._line, frame, frame.rpartition(" in ")[2])
        return None

    def _forget(self) -> None:
        self._threads.clear()
        self._recent.clear()
        self._first = self._outer = self._native = None
        self._dying = False

    @staticmethod
    def _process(line: str) -> str:
        names = [one.group(1) or one.group(2) for one in _PROCESS.finditer(line[:400])]
        return names[-1] if names else ""

    def _traceback(self, process: str) -> None:
        thread = self._threads.setdefault(process, _Thread())
        thread.own = thread.inner = ""
        thread.inside = True

    def _frame(self, process: str, found: re.Match[str]) -> None:
        thread = self._threads.setdefault(process, _Thread())
        path, number, function = found.groups()
        own = _OWN.fullmatch(_PACKAGES.sub("", path))
        short = own.group(1) if own else "/".join(_PACKAGES.sub("", path).rsplit("/", 3)[-3:])
        thread.inner = f"{short}:{number} in {function}"
        thread.inside = True
        if own:
            thread.own = thread.inner

    def _exception(self, process: str, line: str) -> None:
        thread = self._threads.get(process)
        found = _RAISED.search(line) or (_BARE.search(line) if thread is not None and thread.inside else None)
        if found is None:
            if self._native is None and _native(line):
                self._native = self._failure(process, _spoken(line), "")
            return
        thread = self._threads.setdefault(process, _Thread())
        repeated = _REPEATED.fullmatch(found.group(1)[: found.group(1).find("please check") + 12])
        one = self._failure(process, repeated.group(1) if repeated else found.group(1), thread.own or thread.inner)
        link, thread.link, thread.inside = thread.link, "", False
        before, thread.root, thread.own, thread.inner = thread.root, one, "", ""
        if link and before is not None and not _replaces(one, before, link):
            thread.root = before
            return
        if _EMPTY.search(one.said):
            return
        if link and before is not None:
            self._replace(before, one)
            return
        self._recent.append(one)
        self._more = one if _MORE.search(one.said) else None
        if not self._dying:
            return
        if process == "APIServer":
            self._outer = self._outer or one
        elif self._first is None:
            self._first = one

    def _replace(self, before: Failure, after: Failure) -> None:
        unnamed = self._dying and self._first is None and after.process != "APIServer"
        if self._first == before or unnamed:
            self._first = after
        if before in self._recent:
            self._recent.remove(before)
        self._recent.append(after)

    def _add(self, line: str) -> None:
        """The second line of an exception that says nothing in its first."""
        before, self._more = self._more, None
        words = _spoken(line[:_LONGEST_LINE]).partition(" [type=")[0].rpartition("]   ")[2].strip()
        if before is None or not words or "Traceback (most" in line:
            return
        after = self._failure(before.process, f"{before.said}: {words}", before.frame)
        after = replace(after, line=before.line, search=searched(f": {words}"))
        self._recent = deque((after if one == before else one for one in self._recent), maxlen=64)
        self._first = after if self._first == before else self._first
        self._outer = after if self._outer == before else self._outer

    def _failure(self, process: str, said: str, frame: str) -> Failure:
        said = without_secrets(said.strip())[:_LONGEST_SAID]
        return Failure(process, said, self._line, frame, searched(said))


def first_failure(lines: Iterable[str]) -> Failure | None:
    """The failure that a log tells first; None where it tells of none."""
    reader = FirstFailure()
    for line in lines:
        reader.see(line)
    return reader.found


def _replaces(after: Failure, before: Failure, link: str) -> bool:
    """True when the later of two exceptions says more: the earlier is caught all the time, or has no words."""
    if _EMPTY.search(after.said):
        return False
    return (
        ": " not in before.said
        or bool(_EMPTY.search(before.said))
        or (link == "meanwhile" and bool(_PASSING.search(before.said.partition(":")[0])))
    )


def _native(line: str) -> bool:
    return any(words in line for words in _NATIVE)


def _spoken(line: str) -> str:
    """A line without the process that it names."""
    return _PROCESS.sub("", line, count=3).strip()


def searched(said: str) -> str:
    """The longest run of words in a message that holds no number, name in quotes, or folder."""
    name, _, words = said.partition(": ")
    runs = _CHANGING.split(_FOLDERS.sub("", words or name))
    best = max((run.strip(" .,;()") for run in runs), key=len, default="")
    return (best if len(best) > 8 else f"{name} {best}".strip())[:_SEARCHED]
