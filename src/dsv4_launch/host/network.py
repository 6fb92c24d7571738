"""The way to the Hub, looked at only when asked: whether it answers, its clock, and what the token may read."""

import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

from dsv4_launch.facts import Network, Request
from dsv4_launch.host.hub import without_password
from dsv4_launch.host.looking import Note, clean, spell

DEFAULT = "https://huggingface.co"
ASK_S = 4.0
_ANSWERS = {
    401: "no: the Hub does not know the token (401)",
    403: "no: the token may not read it (403)",
    404: "no: there is no such repository for this token (404)",
}


def read_network(request: Request, note: Note, env: Mapping[str, str] | None = None) -> Network:
    """Ask the Hub for its time and for each asked repository; the token goes to the Hub and nowhere else."""
    known = os.environ if env is None else env
    base = (known.get("HF_ENDPOINT") or DEFAULT).rstrip("/")
    shown = without_password(base) or base
    try:
        _, date, asked_at = _ask(f"{base}/api/models?limit=1", None)
    except (OSError, ValueError) as error:
        return Network(endpoint=shown, reachable=False, detail=_reason(error))
    skew_s: float | None = None
    try:
        skew_s = round(asked_at - parsedate_to_datetime(date).timestamp(), 1)
    except (TypeError, ValueError):
        note("network.skew_s", "the Hub's answer has no date")
    token = _token(request, known)
    access: dict[str, str] = {}
    for repo, _revision in request.repos:
        try:
            status, _, _ = _ask(f"{base}/api/models/{repo}/auth-check", token)
        except (OSError, ValueError) as error:
            note(f"network.access.{repo}", _reason(error))
            continue
        access[repo] = "yes" if status < 400 else _ANSWERS.get(status, f"no: the Hub says {status}")
    return Network(endpoint=shown, reachable=True, skew_s=skew_s, access=access)


def _ask(url: str, token: str | None) -> tuple[int, str, float]:
    """Status and date of an answer, and this clock at its middle."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("HF_ENDPOINT is no http address")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    asked = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was looked at
    before = time.time()
    try:
        with urllib.request.build_opener(_StayPut).open(asked, timeout=ASK_S) as answer:
            status, date = answer.status, answer.headers.get("Date", "")
    except urllib.error.HTTPError as error:
        status, date = error.code, error.headers.get("Date", "")
        error.close()
    return status, date, (before + time.time()) / 2


class _StayPut(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer; followed, it would take the token elsewhere."""

    def redirect_request(self, *_args: object) -> None:
        return None


def _token(request: Request, env: Mapping[str, str]) -> str | None:
    names = (request.token_env,) if request.token_env else ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    for name in names:
        if env.get(name, "").strip():
            return env[name].strip()
    home = Path(env.get("HF_HOME") or Path(env.get("HOME") or Path.home()) / ".cache" / "huggingface")
    try:
        return Path(env.get("HF_TOKEN_PATH") or home / "token").read_text().strip() or None
    except OSError:
        return None


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return spell(reason) if isinstance(reason, BaseException) else clean(spell(error))
