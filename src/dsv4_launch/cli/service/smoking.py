"""What `dsv4 smoke` does: find the server and its key, test it, print and write the report."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dsv4_launch.cli import options, show
from dsv4_launch.cli.service import statuses
from dsv4_launch.errors import HostError, InputError, SmokeError, UsageError
from dsv4_launch.values import listed, nearest

if TYPE_CHECKING:
    from dsv4_launch.run.smoke.suite import Outcome, Report, Wanted

_DEFAULT = "flash-b200"
_MARKS = {"pass": "pass", "fail": "FAIL", "not applicable": "n/a "}


@dataclass(frozen=True, slots=True)
class _Server:
    """Where a server is, by which variable its key is known, and whether its weights are random (None: not known)."""

    base_url: str
    key_env: str
    model: str = ""
    random: bool | None = None
    key_file: str = ""


def test(
    name: str | None,
    url: str | None,
    key_env: str | None,
    target: str | None,
    wanted: Wanted,
    junit: str | None,
    output: options.Output,
) -> int:
    """Test one server; returns the exit code.

    Raises UsageError, HostError (no such deployment, the key's variable is empty), InputError (the XML cannot be
    written), and what `smoke.suite.smoke_test` raises.
    """
    from dsv4_launch.run.smoke.junit import junit as as_xml
    from dsv4_launch.run.smoke.junit import unasked
    from dsv4_launch.run.smoke.suite import problems, smoke_test

    if junit is not None:
        _check_place(Path(junit))  # before minutes of testing
    if name is not None and url is not None:
        raise UsageError("A deployment and --url exclude each other.", where="dsv4 smoke")
    server = _Server(checked_url(url), "") if url is not None else _deployment(name or _DEFAULT, target)
    key = _key_in(server.key_file) if server.key_file and not key_env else key_value(key_env or server.key_env)
    wanted = replace(
        wanted, model=wanted.model or server.model, random=server.random if wanted.random is None else wanted.random
    )
    human = output is options.Output.human
    if human:
        show.note(f"Testing {show.clean(server.base_url)}")
    try:
        report = smoke_test(server.base_url, key, wanted, _tell if human else _nothing)
    except SmokeError as error:
        if junit is not None:
            _write(Path(junit), unasked(server.base_url, error.problems[0].message))
        raise
    if junit is not None:
        _write(Path(junit), as_xml(report))
    failed = problems(report)
    exit_code = 8 if failed else 0
    if human:
        _sum_up(report)
        for problem in failed:
            show.problem(problem)
    else:
        show.envelope("smoke", exit_code, report, failed)
    return exit_code


def parse_skips(words: Iterable[str], option: str = "--skip") -> Mapping[str, str]:
    """``CHECK=REASON`` words of an option. Raises UsageError for an unknown check and for one without a reason."""
    from dsv4_launch.run.smoke.checks import CHECKS

    known = [check.key for check in CHECKS]
    skips = {}
    for word in words:
        key, _, reason = word.partition("=")
        if key not in known:
            meant = nearest(key, known)
            fix = f"Did you mean {meant}?" if meant else f"Known: {listed(known)}."
            raise UsageError(f"{option} {key}: there is no such check.", fix=fix)
        if not reason.strip():
            raise UsageError(f"{option} {key} needs a reason.", fix=f"As in {option} '{key}=why it may be left out'.")
        skips[key] = reason.strip()
    return skips


def checked_url(url: str) -> str:
    """The base URL without ``/v1``. Raises UsageError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not url.isprintable() or parts.query or parts.fragment:
        raise UsageError(f"--url {url!r} is not the address of a server.", fix=_meant(url))
    if parts.username or parts.password:
        raise UsageError("A key or password does not belong into --url.", fix="Name its variable with --key-env.")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _meant(url: str) -> str:
    """What to write instead: the same with a scheme, where that alone is missing."""
    bare = re.fullmatch(r"(?:localhost|[\w-]+(?:\.[\w-]+)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?(?:/v1)?/?", url)
    return f"Did you mean http://{url}?" if bare else "For example http://127.0.0.1:8000."


def _deployment(name: str, target: str | None) -> _Server:
    from dsv4_launch.run.service import must_be_ours

    seen = statuses.find(name, target).seen
    where = f"{seen.target} {seen.name}"
    must_be_ours(seen, "Test it by --url.")
    if seen.life != "running" or not seen.base_url:
        fix = f"`dsv4 status {seen.name}` says what became of it."
        raise HostError(f"{seen.name} does not run.", where=where, fix=fix, code="not-running")
    server = seen.config.get("server") or {}
    names = server.get("served_model_name") or ""
    return _Server(
        seen.base_url,
        str(server.get("api_key_env") or ""),
        names if isinstance(names, str) else str(names[0]),
        random=True if seen.config.get("gpu") == "cpu" else None,
        key_file=str(server.get("api_key_file") or ""),
    )


def _key_in(path: str) -> str:
    from dsv4_launch.run.api_key import at_home, read_key

    return read_key(at_home(path, os.environ))


def key_value(variable: str) -> str:
    """The key in a variable ("" for no variable). Raises HostError when the variable is not set."""
    if not variable:
        return ""
    if not os.environ.get(variable):
        raise HostError(
            f"The server's API key is expected in {variable}, which is not set.",
            where=f"environment variable {variable}",
            fix=f"Export {variable}, or name another variable with --key-env.",
            code="no-key",
        )
    return os.environ[variable]


def _check_place(path: Path) -> None:
    """Raises InputError where no file can be written."""
    if path.is_dir():
        raise InputError("The report cannot be written: it is a folder.", where=str(path))
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        why = "it may not be written" if path.parent.is_dir() else "there is no such folder"
        raise InputError(f"The report cannot be written: {why}.", where=str(path))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"The report cannot be written: {error.strerror or error}.", where=str(path)) from None


def _nothing(_: Outcome) -> None:
    return None


def _tell(found: Outcome) -> None:
    code = f" [{found.advisory}]" if found.advisory else ""
    why = f" ({found.why})" if found.why else ""
    show.say(show.clean(f"{_MARKS[found.status]}  {found.key:<14} {found.seconds:6.1f} s  {found.title}{why}{code}"))


def _sum_up(report: Report) -> None:
    counts = (
        f"{report.count('pass')} passed, {len(report.failed)} failed, {report.count('not applicable')} do not apply"
    )
    show.say(
        show.clean(f"{report.model} on vLLM {report.version or '(unknown)'}: {counts}, in {report.seconds:.0f} s.")
    )
    if report.random:
        show.say("Its weights are random: only the protocol was judged, not what it says.")
