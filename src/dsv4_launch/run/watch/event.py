"""What a watcher tells of a failure, and telling it: to a command, to a webhook. No secret is in any of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from dsv4_launch.config.watch import OnFailure
from dsv4_launch.plan.explain_log import without_secrets
from dsv4_launch.values import to_data

Kind = Literal["died", "hang", "crash-loop"]
_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Event:
    """One failure of a service. ``action``: what the watcher does about it; ``time`` is ISO 8601 UTC.

    ``advisory`` and ``hint`` are the known failure that explains it ("" when none does).
    """

    event: Kind
    service: str
    target: str
    host: str
    time: str
    message: str
    action: str
    exit_code: int | None = None
    restarts: int = 0
    advisory: str = ""
    hint: str = ""

    @property
    def text(self) -> str:
        """One line for a person."""
        return f"{self.service} on {self.host}: {self.message}. {self.action}".strip()


def variables(event: Event) -> dict[str, str]:
    """The event as environment variables: ``DSV4_EVENT``, ``DSV4_SERVICE``, …; None is ""."""
    data = to_data(event)
    return {f"DSV4_{name.upper()}": "" if value is None else str(value) for name, value in data.items()}


def body(event: Event) -> bytes:
    """The event as JSON; ``text`` is the line that chat services show."""
    return json.dumps({"text": event.text, **to_data(event)}, ensure_ascii=False).encode()


def send(
    event: Event, wanted: OnFailure, environ: Mapping[str, str], secret: Iterable[str], say: Callable[[str], None]
) -> None:
    """Run the command and post to the webhook. What goes wrong there is said, and changes nothing else.

    ``secret`` names the variables that the command must not get.
    """
    if wanted.command:
        hidden = {*secret, wanted.webhook_env}
        kept = {name: value for name, value in environ.items() if name not in hidden}
        _run(wanted.command, {**kept, **variables(event)}, body(event), wanted.timeout_s, say)
    url = environ.get(wanted.webhook_env, "") if wanted.webhook_env else wanted.webhook or ""
    if url:
        _post(url, body(event), wanted.timeout_s, say)
    elif wanted.webhook_env:
        say(f"warning: {wanted.webhook_env} is not set, so no webhook is told")


def _run(
    argv: tuple[str, ...], environ: Mapping[str, str], data: bytes, timeout_s: float, say: Callable[[str], None]
) -> None:
    name = argv[0]
    try:
        process = subprocess.Popen(
            argv,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the watcher; and its whole group can be ended
        )
    except OSError as error:
        say(f"warning: on_failure command {name} cannot be run: {error.strerror or error}")
        return
    try:
        _, err = process.communicate(data, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end_group(process)
        say(f"warning: on_failure command {name} took longer than {timeout_s:g} s and was ended")
        return
    except BaseException:
        _end_group(process)
        raise
    if process.returncode:
        last = without_secrets(err.decode("utf-8", "replace").strip().rpartition("\n")[2])[:_SHOWN]
        say(f"warning: on_failure command {name} ended with {process.returncode}{f': {last}' if last else ''}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _post(url: str, data: bytes, timeout_s: float, say: Callable[[str], None]) -> None:
    """One POST, no redirects followed. The URL may hold a token: of it only the host is ever said."""
    host = "its host"
    try:
        parts = urlsplit(url)
        host = parts.hostname or host
        kind = {"https": http.client.HTTPSConnection, "http": http.client.HTTPConnection}.get(parts.scheme)
        if kind is None or not parts.hostname:
            say("warning: the webhook is no http or https URL")
            return
        connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        try:
            target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            connection.request("POST", target, data, {"Content-Type": "application/json", "User-Agent": "dsv4"})
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        say(f"warning: the webhook at {host} could not be told: {type(error).__name__}")
        return
    if status >= 300:
        say(f"warning: the webhook at {host} answers {status}")
