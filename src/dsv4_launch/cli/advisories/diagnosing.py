"""What `dsv4 diagnose` does: find the log, have it explained, print it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dsv4_launch.catalog.gpus import gpus
from dsv4_launch.cli import options, show
from dsv4_launch.cli.advisories import advising
from dsv4_launch.cli.service import statuses
from dsv4_launch.errors import HostError, InputError, UsageError
from dsv4_launch.values import listed, shell_word

if TYPE_CHECKING:
    from dsv4_launch.run.diagnose import Diagnosis, Explanation

# Of a longer log the beginning and the end are read: a start, and a death.
_WHOLE_BYTES, _HEAD_BYTES, _TAIL_BYTES = 256_000_000, 64_000_000, 128_000_000
_BLOCK = 1 << 20
_SHOWN_CHARACTERS = 200
_SHOWN_EXPLANATIONS = 3
# How compressed files begin: rotated logs are often such.
_UNPACKERS = {b"\x1f\x8b": "zcat", b"\xfd7zXZ": "xzcat", b"(\xb5/\xfd": "zstdcat", b"BZh": "bzcat"}


def diagnose(subject: str, vllm: str | None, gpu: str | None, target: str | None, output: options.Output) -> int:
    """Explain a log or a deployment; returns the exit code.

    Raises UsageError (release, GPU), InputError (the log cannot be read), HostError (there is no such deployment).
    """
    _check(vllm, gpu)
    diagnosis, name = _diagnosed(subject, vllm, gpu, target)
    if output is options.Output.json:
        show.envelope("diagnose", 0, {"subject": name, **_data(diagnosis)})
    else:
        _tell(diagnosis, name)
    return 0


def _check(vllm: str | None, gpu: str | None) -> None:
    if vllm is not None and not vllm[:1].isdigit():
        raise UsageError(f"--vllm {vllm} is not a release.", fix="For example --vllm 0.28.0.")
    if gpu is not None and gpu not in gpus():
        raise UsageError(f"--gpu {gpu} is not in the catalog.", fix=f"Known: {listed(gpus())}.")


def _diagnosed(subject: str, vllm: str | None, gpu: str | None, target: str | None) -> tuple[Diagnosis, str]:
    from dsv4_launch.run.diagnose import diagnose as explain

    if subject == "-":
        return explain(advising.bounded_lines(sys.stdin.buffer), version=vllm, gpu=gpu), "stdin"
    path = Path(subject)
    if path.suffix not in (".yaml", ".yml") and (path.is_file() or "/" in subject):
        return _of_file(path, vllm, gpu), subject
    return _of_deployment(subject, vllm, gpu, target)


def _of_file(path: Path, vllm: str | None, gpu: str | None) -> Diagnosis:
    from dsv4_launch.run.diagnose import diagnose as explain

    try:
        with path.open("rb") as file:
            _check_plain(file, path)
            return explain(log_lines(file), version=vllm, gpu=gpu)
    except OSError as error:
        raise InputError(f"The log cannot be read: {error.strerror or error}.", where=str(path)) from None


def _check_plain(file: IO[bytes], path: Path) -> None:
    """Raises InputError for a compressed log: in it nothing would be found."""
    if not file.seekable():
        return
    head = file.read(8)
    file.seek(0)
    if unpacker := next((tool for magic, tool in _UNPACKERS.items() if head.startswith(magic)), None):
        fix = f"`{unpacker} {shell_word(str(path))} | dsv4 diagnose -`"
        raise InputError("The log is compressed.", where=str(path), fix=fix)


def _of_deployment(subject: str, vllm: str | None, gpu: str | None, target: str | None) -> tuple[Diagnosis, str]:
    from dsv4_launch.host.kernel_since import errors_since
    from dsv4_launch.run.diagnose import MAX_LINES
    from dsv4_launch.run.diagnose import diagnose as explain

    try:
        service = statuses.find(subject, target)
    except HostError as error:
        if error.problems[0].code != "absent":
            raise
        return _of_saved(subject, vllm, gpu)
    seen = service.seen
    lines = service.driver.logs(seen.name, follow=False, tail=MAX_LINES)
    release, kind = str(seen.config.get("vllm") or "") or None, str(seen.config.get("gpu") or "") or None
    kernel = errors_since(seen.started or seen.created)
    return explain(lines, seen, version=vllm or release, gpu=gpu or kind, kernel=kernel), seen.name


def _of_saved(subject: str, vllm: str | None, gpu: str | None) -> tuple[Diagnosis, str]:
    """The log that was saved of a deployment which is gone."""
    from dsv4_launch.run.diagnose import diagnose as explain
    from dsv4_launch.run.logs import saved as saved_logs

    name, _ = statuses.named(subject)
    path = saved_logs.newest(name, os.environ)
    if path is None:
        raise HostError(
            f"There is neither a log file nor a deployment {subject} here.",
            where=subject,
            fix="`dsv4 status` lists the deployments; a log can be given as a file, or as - on stdin.",
            code="absent",
        )
    show.note(f"{name} is gone; its saved log: {path}")
    return explain(saved_logs.lines_of(path), version=vllm, gpu=gpu), name


def log_lines(file: IO[bytes]) -> Iterator[str]:
    """The lines of a log file; of a huge one those of its head and its tail, with empty ones between to count by."""
    size = file.seek(0, 2) if file.seekable() else 0
    if file.seekable():
        file.seek(0)
    if size <= _WHOLE_BYTES:
        yield from advising.bounded_lines(file)
        return
    for line in advising.bounded_lines(file):
        yield line
        if file.tell() >= _HEAD_BYTES:
            break
    skipped = 0
    while file.tell() < size - _TAIL_BYTES:
        block = file.read(min(_BLOCK, size - _TAIL_BYTES - file.tell()))
        skipped += block.count(b"\n")
        if not block:
            break
    show.note(f"The log has {size / 1e9:.1f} GB; its first {_HEAD_BYTES / 1e6:.0f} MB and its end were read")
    yield from ("" for _ in range(skipped))
    yield from advising.bounded_lines(file)


def _data(diagnosis: Diagnosis) -> dict[str, object]:
    from dsv4_launch.values import to_data

    return dict(to_data(diagnosis))


def _tell(diagnosis: Diagnosis, name: str) -> None:
    from dsv4_launch.run.diagnose import failure_text

    if diagnosis.ending:
        show.say(show.clean(f"{name}: {diagnosis.ending}."))
    if diagnosis.blamed:
        show.say(show.clean(f"It says: {diagnosis.blamed}"))
    if diagnosis.failure is not None:
        where = failure_text(diagnosis.failure)
        show.say(show.clean(f"    log line {diagnosis.failure.line}{f': {where}' if where else ''}"))
    for xid in diagnosis.kernel or ():
        times = f", {xid.count} times" if xid.count > 1 else ""
        means = f": {xid.means}" if xid.means else f": {xid.text[:_SHOWN_CHARACTERS]}" if xid.text else ""
        fix = f"; {xid.fix}" if xid.fix else ""
        kind = {"xid": "Xid", "sxid": "SXid"}[xid.kind]
        show.say(show.clean(f"Kernel: {kind} {xid.number} of {xid.pci}{times}{means}{fix}"))
    if not diagnosis.explanations:
        show.say("No known failure is in it.")
        if diagnosis.failure is not None:
            words = diagnosis.failure.search
            show.say(show.clean(f'To search for, in https://github.com/vllm-project/vllm/issues: "{words}"'))
        return
    for found in diagnosis.explanations[:_SHOWN_EXPLANATIONS]:
        _explain(found)
    for found in diagnosis.explanations[_SHOWN_EXPLANATIONS:]:
        show.say(show.clean(f"also {found.id}  {found.title} ({found.place})"))


def _explain(found: Explanation) -> None:
    from dsv4_launch.run.diagnose import patch_text

    elsewhere = "" if found.known_here else "  (known for another release or GPU)"
    show.say(f"{found.id}  {found.severity}  {found.title}{elsewhere}")
    show.say(f"    {found.place}: {show.clean(' '.join(found.seen.split())[:_SHOWN_CHARACTERS])}")
    show.say(f"    why: {found.cause}")
    show.say(f"    fix: {found.fix}")
    if change := patch_text(found):
        show.say(f"    config: {change}")
